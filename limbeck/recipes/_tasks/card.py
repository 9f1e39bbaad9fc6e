"""The model card of a fine-tuned model, from its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.checkpoints import read_inherited
from limbeck.export import load_trained
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.predictions import describe_favourites, describe_trivial
from limbeck.report.card import Card, CardScore
from limbeck.report.figures import percent
from limbeck.report.wording import metric_name
from limbeck.runs import SeedRecord
from limbeck.tasks import Task, load_task
from limbeck.version import __version__

if TYPE_CHECKING:
    from limbeck.recipes.finetune.settings import FinetuneSettings, GridSettings

_HUB = "hf://"
_ABOUT_ZEROS = (
    "Pruned weights are zeros: the file is as large and the model as fast as before. "
    "limbeck export --to sparse writes a small file, which runs as fast."
)
_CHOSEN = "Validation chose the best epoch: its scores are somewhat too high."
_NOT_SCORES = ("num_examples", "_standard_error", "loss")


def make_card(
    settings: FinetuneSettings,
    data: TaskData,
    record: SeedRecord,
    *,
    records: Sequence[SeedRecord],
) -> Card:
    """Returns the card of one seed's model.

    Args:
        settings: Of the run.
        data: The task's data.
        record: What the seed's `result.json` holds.
        records: The same of all seeds that are known, this one among them.
    """
    task = settings.task_label or data.task.name
    base = show_model(settings.model)
    learned = "" if settings.teacher is None else f", distilled from {_show_teachers(settings)}"
    return Card(
        name=settings.label or f"{base} on {task}",
        summary=f"{base}, fine-tuned on {task}{learned}, with limbeck {__version__}.",
        auto_class=data.task.auto_model.__name__,
        task=task,
        dataset=_hub_id(settings.data or load_task(settings.task).hub),
        scores=_scores(data, record, records),
        made=_describe(settings, data.task, record),
        notes=[
            *(line.strip() for line in describe_favourites(record.trivial)),
            *describe_trivial(record.trivial, metric_name(data.task.metric)),
            *([_CHOSEN] if record.num_epochs * settings.evaluations_per_epoch > 1 else []),
            *([] if record.density is None else [_ABOUT_ZEROS]),
            *([] if settings.quantise is None else [_about_grid(settings.quantise)]),
        ],
        base_model=settings.model,
        tags=["distillation"] if settings.teacher else [],
        pipeline_tag=data.task.pipeline_tag,
        inherited=read_inherited(data.folder),
    )


def _about_grid(quantise: GridSettings) -> str:
    return (
        "Weights are as a file of few bits holds them, here still in float: the model is as large "
        "and as fast as before. limbeck export --to "
        f"{load_trained(quantise.weights).shown_name} writes that file, with these weights as they "
        "are."
    )


def show_model(name_or_path: str) -> str:
    """Returns a model's name without the path of this machine: of a run, that of the run's folder.

    A file of predictions has its own name.

    Example:
        >>> show_model("google-bert/bert-base-uncased")
        'google-bert/bert-base-uncased'
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.name
    if not path.is_dir():
        return name_or_path
    path = path.resolve()
    return path.parent.name if path.name == "model" else path.name


def _show_teachers(settings: FinetuneSettings) -> str:
    weights = settings.teacher_weights
    names = [show_model(name) for name in settings.teachers]
    if weights is not None:
        names = [f"{name} (weight {w:g})" for name, w in zip(names, weights, strict=True)]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _hub_id(data: str | Mapping[str, str] | None) -> str | None:
    """Returns the one Hub data set that all splits are of, if they are.

    Example:
        >>> _hub_id({"train": "hf://nyu-mll/glue:sst2#train", "test": "hf://nyu-mll/glue:sst2#test"})
        'nyu-mll/glue:sst2'
        >>> _hub_id("folder")
    """
    if data is None:
        return None
    sources = {data} if isinstance(data, str) else set(data.values())
    names = {source.partition("#")[0] for source in sources}
    name = names.pop()
    return name.removeprefix(_HUB) if not names and name.startswith(_HUB) else None


def _scores(data: TaskData, record: SeedRecord, records: Sequence[SeedRecord]) -> list[CardScore]:
    metric = data.task.metric
    found = []
    for split, scores in record.scores.items():
        names = [metric, *(name for name in scores if name != metric)]
        found += [
            CardScore(
                split=split,
                metric=name,
                value=scores[name],
                num_examples=len(data.task.splits[split].examples),
                seed_values=tuple(other.scores[split][name] for other in records),
            )
            for name in names
            if not name.endswith(_NOT_SCORES)
        ]
    return found


def _describe(settings: FinetuneSettings, task: Task, record: SeedRecord) -> dict[str, str]:
    """Returns how the model was made, a line each."""
    made = {"Recipe": f"limbeck finetune {__version__}", "Started from": show_model(settings.model)}
    if settings.initialise == "random":
        made["Weights"] = "random"
    if settings.keep_layers is not None:
        made["Layers kept"] = f"{record.num_layers} (keep_layers = {settings.keep_layers})"
    if settings.start:
        made["Started by"] = ", ".join(method.method for method in settings.start)
    if settings.teacher is not None:
        made["Teacher"] = _show_teachers(settings)
        made["Losses"] = ", ".join(build_task_losses(task, settings.losses))
        made["Weight of the labels"] = f"{settings.label_weight:g}"
    if settings.intermediate is not None:
        made["Layers learned first"] = (
            f"{', '.join(settings.intermediate.losses)}: {record.intermediate_steps:,} steps"
        )
    if settings.replacing is not None:
        made["Layers replaced first"] = f"{record.replacing_steps:,} steps (BERT-of-Theseus)"
    if settings.sparsify is not None and record.density is not None:
        made["Weights left"] = (
            f"{percent(record.density)} of the encoder's linear layers ({settings.sparsify.method})"
        )
    if settings.quantise is not None:
        target = load_trained(settings.quantise.weights)
        made["Weights trained as"] = f"{target.precision}, which {target.shown_name} writes"
    return {
        **made,
        "Parameters": f"{record.num_parameters:,}",
        "Seed": str(record.seed),
        "Steps": f"{record.num_steps:,}",
        "Epochs": f"{record.num_epochs:.4g}, the best after {record.best_epoch:.4g}",
        "Learning rate": f"{settings.learning_rate:g}",
        "Batch size": str(settings.batch_size),
        "Longest input": f"{settings.max_length} tokens",
        "Arithmetic": settings.precision,
    }
