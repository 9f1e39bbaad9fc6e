"""Pipelines: text in, answers out, with the names and results of `transformers.pipeline`.

One public module each, whose `PipelineType` is all that is needed. The module's name is the
pipeline's, with hyphens, as in `pipeline("text-classification", model=...)`; the class says other
names, which head its models have, and its options.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from limbeck import listing
from limbeck.checkpoints import read_task_length
from limbeck.errors import MissingHeadError, SettingsError, did_you_mean, shorten, with_article
from limbeck.inference._base import Pipeline, advise_finetuning
from limbeck.inference._options import unknown_option
from limbeck.inference.engines import AUTO, Engine, load_engine
from limbeck.inference.pipelines._asked import Asked, fetch_default, is_model, look_at
from limbeck.models._kinds import Kind
from limbeck.tokenizers import AutoTokenizer, Tokenizer

if TYPE_CHECKING:
    import torch

    from limbeck.inference.pipelines._asked import Source
    from limbeck.inference.pipelines.question_answering import QuestionAnsweringPipeline
    from limbeck.inference.pipelines.text_classification import TextClassificationPipeline
    from limbeck.inference.pipelines.token_classification import TokenClassificationPipeline

_COMMON = (
    *("tokenizer", "batch_size", "device", "max_length", "engine", "precision", "num_threads"),
    *("revision", "token", "cache_dir", "offline"),
)


@overload
def pipeline(
    task: Literal["sentiment-analysis", "text-classification"],
    model: Source,
    **arguments: Any,
) -> TextClassificationPipeline: ...
@overload
def pipeline(
    task: Literal["ner", "token-classification"], model: Source, **arguments: Any
) -> TokenClassificationPipeline: ...
@overload
def pipeline(
    task: Literal["question-answering"], model: Source, **arguments: Any
) -> QuestionAnsweringPipeline: ...
@overload
def pipeline(task: str | None = None, model: Source | None = None, **arguments: Any) -> Any: ...
def pipeline(
    task: str | None = None,
    model: Source | None = None,
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    batch_size: int | None = None,
    device: str | int | torch.device | None = None,
    max_length: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    num_threads: int | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    **options: Any,
) -> Any:
    """Makes a callable from text to answers.

    Args:
        task: Which pipeline, as `limbeck list pipelines` shows them, or another of its names, such
            as `sentiment-analysis` or `ner`; by default what the model was fine-tuned for.
        model: A model folder, a Hub id, a model, or an engine; `sentiment-analysis` alone takes by
            default `distilbert/distilbert-base-uncased-finetuned-sst-2-english` from the Hub.
        tokenizer: A folder, a Hub id, or a tokenizer; by default the one beside the model.
        batch_size: Most texts, or windows of them, that go through the model at a time; by default
            as many as have about as many tokens as the device does best at a time.
        device: `auto`, `cpu`, `cuda`, ..., or the number of a GPU, -1 for the CPU; by default the
            first accelerator, else the CPU.
        max_length: Longest input in tokens; by default what the model was fine-tuned with, if its
            folder says so, else the longest that it takes, and 384 for question answering.
        engine: What runs the model, as `limbeck list engines` shows it; by default the one
            that runs what the folder holds.
        precision: Type of the weights, fp32, bf16, fp16, int8, int4 or int2; by default as they
            are.
        num_threads: Threads of the CPU that engine and tokenizer take; by default as many as there
            are cores. See `load_engine`.
        revision: Branch, tag or commit on the Hub.
        token: Access token for the Hub; if absent, the one stored by `hf auth login`.
        cache_dir: Where the Hub's files are kept.
        offline: Uses only what the cache has.
        options: Those of the pipeline's class, such as `aggregation_strategy`.

    Raises:
        SettingsError: If the task or an option is unknown, the model is for another task, or a
            model object comes without a tokenizer.
        CheckpointError: If the model folder can't be read, or its model is not fine-tuned.
    """
    given = {"revision": revision, "token": token, "cache_dir": cache_dir, "offline": offline}
    hub = {name: value for name, value in given.items() if value not in (None, False)}
    if model is None:
        cls = _find_with_default(task)
        asked = fetch_default(cls.default_model or "", task or cls.task, hub)
    else:
        known = None if task is None else find_pipeline(task)  # before anything is fetched
        asked = look_at(model, hub)
        cls = known or _find_for(asked)
    _check_options(cls, options)
    made = cls(
        _find_engine(cls, asked, _Run(engine, _name_device(device), precision, num_threads)),
        _find_tokenizer(tokenizer, asked),
        batch_size=batch_size,
        max_length=max_length,
        **options,
    )
    learned = None if asked.folder is None or cls.reads_below else read_task_length(asked.folder)
    return made if max_length is not None or learned is None else made.cut_at_most(learned)


def find_pipeline(task: str) -> type[Pipeline[Any]]:
    """Returns the class of a pipeline by one of its names.

    Raises:
        SettingsError: If there is none of this name; the message lists those there are.
    """
    classes = list(list_pipelines())
    for cls in classes:
        if task in (cls.task, *cls.aliases):
            return cls
    names = [name for cls in classes for name in (*cls.aliases, cls.task)]
    raise SettingsError(
        f"there is no pipeline for {shorten(task)}; accepted: {', '.join(names)}."
        + did_you_mean(str(task), names)
    )


def _find_with_default(task: str | None) -> type[Pipeline[Any]]:
    cls = None if task is None else find_pipeline(task)
    if cls is None or cls.default_model is None:
        tasks = ", ".join(cls.task for cls in list_pipelines() if cls.default_model)
        raise SettingsError(
            "model= is missing; accepted: a model folder, a Hub id, or a model. Only these have "
            f"one by default: {tasks}"
        )
    return cls


def list_pipelines() -> Iterator[type[Pipeline[Any]]]:
    """Yields the classes of all pipelines, by their names."""
    for name in listing.list_names(__name__):
        yield cast(type[Pipeline[Any]], listing.load(__name__, name).PipelineType)


def _find_usual(kind: Kind | None) -> type[Pipeline[Any]] | None:
    """Returns the pipeline for models of a kind where none is asked for."""
    return next((cls for cls in list_pipelines() if cls.kind == kind and cls.is_usual), None)


def _usual_tasks() -> str:
    return ", ".join(cls.task for cls in list_pipelines() if cls.is_usual)


def _name_device(device: str | int | torch.device | None) -> str | None:
    """Returns a device's name; numbers are those of `transformers.pipeline`."""
    if isinstance(device, int):
        return "cpu" if device < 0 else f"cuda:{device}"
    return None if device is None else str(device)


class _Run(NamedTuple):
    """How a model is to be run, as far as that was said."""

    engine: str | None
    device: str | None
    precision: str | None
    num_threads: int | None


def _find_engine(cls: type[Pipeline[Any]], asked: Asked, run: _Run) -> Engine:
    model = asked.given
    if isinstance(model, Engine):
        for option, value in run._asdict().items():
            if value is not None:
                raise SettingsError(
                    f"{option} = '{value}': the model is given as an engine, which is on "
                    f"{model.device}; leave {option} out"
                )
        return model
    if not is_model(model):
        return _load_finetuned(cls, asked, run)
    if run.engine not in (None, AUTO, "torch"):
        raise SettingsError(
            f"engine = '{run.engine}': it reads a model folder, and a model object is given; "
            "accepted: torch, or a folder in place of the model"
        )
    if run.precision is not None:
        raise SettingsError(
            f"precision = '{run.precision}': a model object is given, which is run as it is; load "
            "it with dtype=..., or give its folder"
        )
    from limbeck.inference.engines.torch import TorchEngine

    return TorchEngine(model, device=run.device or AUTO, num_threads=run.num_threads)


def _find_tokenizer(tokenizer: str | Path | Tokenizer | None, asked: Asked) -> Tokenizer:
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if tokenizer is not None:
        hub = {name: value for name, value in asked.hub.items() if name != "revision"}
        return AutoTokenizer.from_pretrained(tokenizer, **hub)
    if asked.folder is None:
        raise SettingsError(
            "a model object does not say what its tokenizer is; give tokenizer=, a folder, a Hub "
            "id or a Tokenizer"
        )
    return AutoTokenizer.from_pretrained(asked.folder)


def find_task(model: Source) -> str:
    """Returns the task of the pipeline that takes a model, such as `text-classification`.

    Args:
        model: A model folder, a Hub id, a model, or an engine.

    Raises:
        SettingsError: If no pipeline takes models of its kind, or the folder does not say what
            kind it is.
        CheckpointError: If the folder can't be read, or its model is not fine-tuned.
    """
    return _find_for(look_at(model, {})).task


def _find_for(asked: Asked) -> type[Pipeline[Any]]:
    for cls in list_pipelines():
        if asked.folder is not None and cls.recognises(asked.folder, asked.kind):
            return cls
    if (usual := _find_usual(asked.kind)) is not None:
        return usual
    tasks = _usual_tasks()
    if asked.architecture is None:
        raise SettingsError(
            f"{asked.name}: config.json does not name the model's architecture, so that its task "
            f"has to be given; accepted: {tasks}"
        )
    below = " and ".join(cls.task for cls in list_pipelines() if cls.reads_below)
    raise MissingHeadError(
        f"{asked.name} holds {with_article(asked.architecture)}, which has no head for a task yet; "
        f"accepted: models for {tasks}; {advise_finetuning(asked.name, 'task=... ')}. Asked for by "
        f"name, {below} take it as it is"
    )


def _check_options(cls: type[Pipeline[Any]], options: dict[str, Any]) -> None:
    accepted = cls.options_type.names()
    for name, value in options.items():
        if name in accepted or cls.options_type.is_done_anyway(name, value):
            continue
        call = inspect.signature(cls.__call__).parameters
        if name in call:
            raise SettingsError(
                f"{name} = {shorten(value)}: the {cls.task} pipeline takes it with each call: "
                f"run(inputs, {name}={shorten(value)})"
            )
        raise unknown_option(name, [*accepted, *_COMMON], task=cls.task)


def _load_finetuned(cls: type[Pipeline[Any]], asked: Asked, run: _Run) -> Engine:
    """Loads a folder's model; one with another head is refused even where the weights would fit."""
    advice = cls.advise(asked.name)
    headless = f"{asked.name} has no head for this task yet; {advice}"
    if asked.kind not in (None, cls.kind) and not cls.reads_below:
        if not asked.kind.has_head or asked.kind.is_of_pretraining:
            raise MissingHeadError(headless)
        other = _find_usual(asked.kind)
        fix = f"its pipeline is '{other.task}'" if other else "there is no pipeline for these"
        raise SettingsError(
            f"{asked.name} holds {with_article(asked.architecture or 'model')}, and the {cls.task} "
            f"pipeline was asked for; {fix}. For this one, {advice}"
        )
    try:
        return load_engine(
            run.engine,
            asked.fetch(run.engine, precision=run.precision),
            kind=cls.kind,
            vectors=cls.reads_vectors,
            device=run.device or AUTO,
            precision=run.precision,
            num_threads=run.num_threads,
        )
    except MissingHeadError as error:
        if cls.reads_below:  # which no fine-tuning helps
            raise
        raise MissingHeadError(headless) from error
