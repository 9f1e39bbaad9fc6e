"""The functions on tasks: `finetune`, `evaluate`, `compress`, `prune`, `early_exit`, `suite`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from limbeck.api._call import choose_folder, prepare
from limbeck.api._data import DataSet, GivenData, Rows
from limbeck.api._models import ModelLike, are_models, with_tokenizer
from limbeck.api._progress import choose_progress
from limbeck.api._results import (
    CompressResult,
    EarlyExitResult,
    EvaluateResult,
    FinetuneResult,
    PruneResult,
    SuiteResult,
    TaskResult,
)
from limbeck.api._signature import takes_settings
from limbeck.api._steps import FinetuneSteps
from limbeck.api._suite import SuiteTasks
from limbeck.recipes import compress as compress_recipe
from limbeck.recipes import early_exit as early_exit_recipe
from limbeck.recipes import evaluate as evaluate_recipe
from limbeck.recipes import finetune as finetune_recipe
from limbeck.recipes import prune as prune_recipe
from limbeck.recipes import suite as suite_recipe
from limbeck.recipes.finetune import FinetuneStep
from limbeck.recipes.finetune.teachers import find_kind
from limbeck.runs import FinetuneRecord
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress


@takes_settings(finetune_recipe.SettingsType)
def finetune(
    model: ModelLike,
    train: Rows | None = None,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    transfer: Rows | None = None,
    data: DataSet | None = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> FinetuneResult:
    """Fine-tunes a model on a task, over one or more seeds, and keeps the best epoch of each.

    Rows may be a list of dictionaries, a `datasets.Dataset`, a pandas or polars frame, or a file,
    glob or `hf://owner/name#split`. Rows in memory are written into the run's folder once, so that
    the run is one like those of the command line; their task is inferred where columns leave no
    doubt. For files and the Hub it is `task`, as on the command line. A `teacher` may also be rows
    of predictions, a file of them, or the address of a server.

    Args:
        model: A Hub id, a folder, a result of another call, or a model in memory.
        train: Rows to train on.
        validation: Rows that choose the best epoch.
        test: Rows that are scored at the end.
        transfer: Rows without labels, for a `teacher` to label.
        data: All splits at once: a folder, `hf://owner/name`, a `DatasetDict` or a dictionary.
        tokenizer: Of a model in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: True shows it, False does not; by default it is shown on a terminal and in a
            notebook.
        **settings: Those of the recipe, listed below.

    Returns:
        The result: `model`, `tokenizer`, `scores`, `folder`, `record`, `report()`.

    Raises:
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used.
        TrainingError: If a loss is not finite.
    """
    given = GivenData.of(data, train=train, validation=validation, test=test, transfer=transfer)
    return _begin(model, given, tokenizer, settings, out=out, progress=progress).result


@takes_settings(finetune_recipe.SettingsType)
def finetune_steps(
    model: ModelLike,
    train: Rows | None = None,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    transfer: Rows | None = None,
    data: DataSet | None = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> FinetuneSteps:
    """Fine-tunes as `finetune` does, with the caller's turn after each step.

    The body of the `for` is the callback: it sees `step.seed`, `step.number`, `step.epoch`,
    `step.loss`, `step.learning_rate` and, after a validation, `step.scores`. Its time does not
    count as training time. Ctrl-C while a step is made saves a checkpoint first; in the body it is
    the caller's own. Whoever leaves early, by `close()` or by dropping the iterator, leaves a
    checkpoint of the last step: the same call with the same `out` goes on from there.

    Args:
        model: As for `finetune`, and so the others.
        train: Rows to train on.
        validation: Rows that choose the best epoch.
        test: Rows that are scored at the end.
        transfer: Rows without labels, for a `teacher` to label.
        data: All splits at once.
        tokenizer: Of a model in memory.
        out: The run's folder.
        progress: Whether it is shown.
        **settings: Those of the recipe, listed below.

    Returns:
        An iterator over the steps, whose `result` is that of `finetune`.

    Raises:
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used.
    """
    given = GivenData.of(data, train=train, validation=validation, test=test, transfer=transfer)
    return _begin(model, given, tokenizer, settings, out=out, progress=progress)


@takes_settings(evaluate_recipe.SettingsType)
def evaluate(
    model: ModelLike,
    data: DataSet | Rows | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> EvaluateResult:
    """Scores a fine-tuned model on one split, and keeps every prediction.

    Args:
        model: A Hub id, a folder, a result of another call, or a model in memory.
        data: Rows of the split, or a data set as for `finetune`; by default that of the result.
        tokenizer: Of a model in memory.
        out: The run's folder; a new one in `runs` if not given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The result: `scores`, `folder`, `record`, `report()`.

    Raises:
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used, or its labels are not the model's.
        MissingHeadError: If the model has no head for the task.
    """
    recipe = evaluate_recipe
    if data is not None and not isinstance(data, str | Path | Mapping):
        split = settings.get("split", recipe.SettingsType.model_fields["split"].default)
        data = {split: data}
    with prepare(
        "evaluate",
        recipe.SettingsType,
        {**settings, "model": with_tokenizer(model, tokenizer)},
        given=GivenData.of(data_of(model) if data is None else data),
        recalls_task=True,
        out=out,
        progress=progress,
    ) as call:
        return EvaluateResult(call.out, recipe.run(call.settings, progress=call.progress))


@takes_settings(compress_recipe.SettingsType)
def compress(
    model: ModelLike | Rows,
    train: Rows | None = None,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    transfer: Rows | None = None,
    data: DataSet | None = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> CompressResult:
    """Makes a fine-tuned model smaller: the smallest student that keeps a share of its score.

    Args:
        model: A fine-tuned model. A result of `finetune` brings its task, options and data along.
            With `student` also a teacher that is no model: rows of predictions, a file of them, or
            the address of a server.
        train: Rows to train students on.
        validation: Rows that choose the student.
        test: Rows that are scored at the end.
        transfer: Rows without labels, for the model to label.
        data: All splits at once.
        tokenizer: Of a model in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The chosen student: `model`, `tokenizer`, `scores`, `folder`, `record`, `report()`.

    Raises:
        ContractError: If no student keeps enough; its `result` says what each keeps.
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used.
        MissingHeadError: If the model has no head for the task.
    """
    given = GivenData.of(data, train=train, validation=validation, test=test, transfer=transfer)
    given.require(*_needed(settings, teacher=model), function="limbeck.compress")
    with prepare(
        "compress",
        compress_recipe.SettingsType,
        {**settings, "model": with_tokenizer(model, tokenizer)},
        given=given if given.is_there else GivenData.of(data_of(model)),
        recalls_task=True,
        out=out,
        progress=progress,
    ) as call:
        return CompressResult(call.out, compress_recipe.run(call.settings, progress=call.progress))


@takes_settings(prune_recipe.SettingsType)
def prune(
    model: ModelLike,
    train: Rows | None = None,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    transfer: Rows | None = None,
    data: DataSet | None = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> PruneResult:
    """Takes heads, neurons or layers out of a fine-tuned model, which teaches what is left of it.

    Args:
        model: A fine-tuned model. A result of `finetune` brings its task, options and data along.
        train: Rows that importance is measured on, and what is left is trained on.
        validation: Rows that choose the best epoch.
        test: Rows that are scored at the end.
        transfer: Rows without labels, for the model to label.
        data: All splits at once.
        tokenizer: Of a model in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        What is left: `model`, `tokenizer`, `scores`, `folder`, `record`, `report()`.

    Raises:
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used.
        MissingHeadError: If the model has no head for the task.
    """
    given = GivenData.of(data, train=train, validation=validation, test=test, transfer=transfer)
    given.require(*_needed(settings, teacher=None), function="limbeck.prune")
    with prepare(
        "prune",
        prune_recipe.SettingsType,
        {**settings, "model": with_tokenizer(model, tokenizer)},
        given=given if given.is_there else GivenData.of(data_of(model)),
        recalls_task=True,
        out=out,
        progress=progress,
    ) as call:
        return PruneResult(call.out, prune_recipe.run(call.settings, progress=call.progress))


@takes_settings(early_exit_recipe.SettingsType)
def early_exit(
    model: ModelLike,
    train: Rows | None = None,
    validation: Rows | None = None,
    test: Rows | None = None,
    *,
    transfer: Rows | None = None,
    data: DataSet | None = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> EarlyExitResult:
    """Gives a fine-tuned model heads on inner layers, by which inputs leave that need no more.

    Args:
        model: A fine-tuned model. A result of `finetune` brings its task, options and data along.
        train: Rows that exits are trained on.
        validation: Rows that choose the bound; half of them where `test` has none with labels.
        test: Rows that are scored at the end.
        transfer: Rows without labels, for exits to learn what the model says of them.
        data: All splits at once.
        tokenizer: Of a model in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The model with exits: `pipeline()`, `tokenizer`, `scores`, `folder`, `record`, `report()`;
        `model` is the model itself, without them.

    Raises:
        SettingsError: If a setting is wrong, or the task can't be inferred.
        DataError: If the data can't be used.
        MissingHeadError: If the model has no head for the task.
    """
    given = GivenData.of(data, train=train, validation=validation, test=test, transfer=transfer)
    given.require(*_needed(settings, teacher=None), function="limbeck.early_exit")
    with prepare(
        "early_exit",
        early_exit_recipe.SettingsType,
        {**settings, "model": with_tokenizer(model, tokenizer)},
        given=given if given.is_there else GivenData.of(data_of(model)),
        recalls_task=True,
        out=out,
        progress=progress,
    ) as call:
        return EarlyExitResult(
            call.out, early_exit_recipe.run(call.settings, progress=call.progress)
        )


@takes_settings(suite_recipe.SettingsType)
def suite(
    models: Mapping[str, Any] | Iterable[ModelLike],
    *,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> SuiteResult:
    """Runs several models through several tasks and seeds, and reports them together.

    The `data` of a table in `tasks` may be a dictionary of rows in memory, as for `finetune`.

    Args:
        models: Models, of which the first is the teacher; or by label, each a model or a
            dictionary of its settings.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The result: `scores`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong.
        DataError: If no task can be run.
    """
    by_label = models
    if isinstance(models, Mapping):
        roles = ["teacher", *["student"] * (len(models) - 1)]
        by_label = {
            label: model if isinstance(model, Mapping) else {"model": model, "role": role}
            for (label, model), role in zip(models.items(), roles, strict=True)
        }
    folder, shown = choose_folder("suite", out), choose_progress(progress)
    tasks = SuiteTasks.of(settings.pop("tasks", {}), out=folder, progress=shown)
    with prepare(
        "suite",
        suite_recipe.SettingsType,
        {
            **settings,
            "models": by_label if isinstance(by_label, Mapping) else list(by_label),
            "tasks": tasks.settings,
        },
        out=folder,
        progress=shown,
    ) as call:
        tasks.write()
        return SuiteResult(call.out, suite_recipe.run(call.settings, progress=call.progress))


def _needed(settings: Mapping[str, Any], *, teacher: object) -> tuple[str, ...]:
    """Returns the splits that must be given: validation may be held out of the training rows.

    Predictions bring the texts to learn from.
    """
    is_name = isinstance(teacher, str | Path)
    brings_rows = find_kind(str(teacher)).brings_rows if is_name else not are_models(teacher)
    if teacher is not None and brings_rows:
        return ("validation",)
    holds_out = "validation_ratio" in (settings.get("task_options") or {})
    return ("train",) if holds_out else ("train", "validation")


def _begin(
    model: ModelLike,
    given: GivenData,
    tokenizer: Tokenizer | None,
    settings: Mapping[str, Any],
    *,
    out: str | Path | None,
    progress: bool | Progress | None,
) -> FinetuneSteps:
    needed = _needed(settings, teacher=settings.get("teacher"))
    given.require(*needed, function="limbeck.finetune")
    call = ExitStack()
    begun = call.enter_context(
        prepare(
            "finetune",
            finetune_recipe.SettingsType,
            {**settings, "model": with_tokenizer(model, tokenizer)},
            given=given,
            out=out,
            progress=progress,
        )
    )

    def iterate() -> Generator[FinetuneStep, None, FinetuneRecord]:
        with call:
            return (yield from finetune_recipe.iterate(begun.settings, progress=begun.progress))

    return FinetuneSteps(begun.out, iterate())


def data_of(model: object) -> DataSet | None:
    """Returns the data that a result was made with."""
    if not isinstance(model, TaskResult):
        return None
    data: DataSet | None = model.settings.get("data")
    return data
