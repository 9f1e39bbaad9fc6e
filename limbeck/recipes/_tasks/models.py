"""Models that were fine-tuned before, and whether they fit a task and each other."""

from __future__ import annotations

from pathlib import Path

from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.inference.engines import AUTO, VECTORS, choose_engine, find_engine, load_engine
from limbeck.models import (
    AnyModel,
    Kind,
    ModelConfig,
    add_exits,
    find_foreign_family,
    load_foreign,
    name_adapter,
)
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import describe_missing_head
from limbeck.recipes._tasks.predictions import Runner
from limbeck.runs import Adapter
from limbeck.tasks import Task
from limbeck.tokenizers import Tokenizer
from limbeck.train import choose_device


def load_fine_tuned(task: Task, folder: Path, *, name: str) -> AnyModel:
    """Loads a model of any family with the head that the task needs.

    Raises:
        MissingHeadError: If it has none, or one for another task.
    """
    try:
        if find_foreign_family(folder) is not None:
            return load_foreign(folder, task.auto_model.kind)
        return task.load_model(folder, new_head=False)
    except MissingHeadError as error:
        raise MissingHeadError(describe_missing_head(task, name=name)) from error


def load_runner(
    task: Task,
    folder: Path,
    *,
    name: str,
    device: str,
    engine: str = AUTO,
    num_threads: int | None = None,
) -> Runner:
    """Loads a model with the head that the task needs, in the engine that runs it.

    One whose folder has early exits takes them.

    Args:
        task: The task.
        folder: The model folder, exported or not.
        name: The model's name, as the user gave it.
        device: As in settings.
        engine: As `limbeck list engines` shows it; `auto` takes what the folder is exported for.
        num_threads: Of an engine that can be told; by default its own choice. torch has its own.

    Raises:
        CheckpointError: If the folder is exported for what can be run elsewhere only.
        MissingExtraError: If the engine is not installed.
        MissingHeadError: If it has none, or one for another task.
        SettingsError: If there is no such engine.
    """
    chosen = choose_engine(folder) if engine == AUTO else engine
    if chosen == "torch":
        model = add_exits(load_fine_tuned(task, folder, name=name), folder)
        return model.to(choose_device(device))
    kind, vectors = task.auto_model.kind, task.reads_vectors and _gives_vectors(folder)
    threads = num_threads if find_engine(chosen).takes_threads else None
    return load_engine(
        chosen, folder, kind=kind, vectors=vectors, device=device, num_threads=threads
    )


def _gives_vectors(folder: Path) -> bool:
    """Tells whether a folder is a sentence model's export, which makes the vectors itself."""
    return ExportInfo.exists(folder) and VECTORS in ExportInfo.read(folder).outputs


def describe_adapter(config: ModelConfig, kind: Kind) -> Adapter | None:
    """Returns what runs a model of a family that Limbeck does not have; None for one of ours."""
    found = name_adapter(config, kind)
    if found is None:
        return None
    name, version, model_class = found
    return Adapter(name=name, version=version, model_class=model_class)


def match_labels(task: Task, config: ModelConfig, *, name: str) -> Task:
    """Returns the task for a model with a head, whose outputs are matched with the labels by name.

    Args:
        task: The task.
        config: The model's configuration.
        name: The model's name, for messages.

    Raises:
        DataError: If its labels are others than the task's.
        SettingsError: If a model of numbers has several outputs.
    """
    wanted = task.head()
    given = list(config.id2label.values())
    if "num_labels" not in wanted:
        return task
    if len(given) == 1 or wanted["num_labels"] == 1:
        if len(given) != wanted["num_labels"]:
            raise SettingsError(
                f"{name} has {len(given)} outputs, but the task {task.name} has "
                f"{wanted['num_labels']}; fine-tune it on this task first"
            )
        return task
    try:
        return task.for_model(given)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def require_same_inputs(
    data: TaskData, config: ModelConfig, tokenizer: Tokenizer, *, name: str
) -> None:
    """Refuses a second model that can't read the token ids that a run's model reads.

    Raises:
        SettingsError: If it has another tokenizer or too few positions.
    """
    if not data.has_vocabulary_of(tokenizer):
        raise SettingsError(
            f"{name} and the student {data.settings.model} have different tokenizers, so that they "
            "can't read the same tokens; choose one with the student's vocabulary"
        )
    require_positions(data, config, name=name)


def require_positions(data: TaskData, config: ModelConfig, *, name: str) -> None:
    """Refuses a second model that is too short for a run's rows.

    Raises:
        SettingsError: If it has too few positions.
    """
    if not config.takes(data.settings.max_length):
        raise SettingsError(
            f"max_length = {data.settings.max_length}, but {name} has {config.max_tokens} "
            f"positions; accepted: 8 to {config.max_tokens}"
        )
