"""What a fine-tuned model remembers of its task, in a file beside its weights: `limbeck.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from limbeck.checkpoints import resolve_folder
from limbeck.config import Settings
from limbeck.errors import CheckpointError, SettingsError
from limbeck.files import read_json, write_json
from limbeck.models import read_any_config, read_sentence_config
from limbeck.recipes._tasks.heads import require_named_task
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.tasks import load_task
from limbeck.train import Progress

MEMORY_NAME = "limbeck.json"

SettingsT = TypeVar("SettingsT", bound=TaskSettings)


class TaskMemory(Settings):
    """The settings of a fine-tuning that whoever uses the model needs again."""

    task: str
    """As in the settings of `finetune`."""
    task_options: dict[str, Any]
    """As in the settings of `finetune`: columns, labels and the like."""
    max_length: int = Field(ge=8)
    """As in the settings of `finetune`."""
    task_label: str | None = None
    """As in the settings of `finetune`; None for the task's own name."""
    label: str | None = None
    """As in the settings of `finetune`; None for the model's own name."""


_NAMES = tuple(TaskMemory.model_fields)
_NEEDED = tuple(name for name, field in TaskMemory.model_fields.items() if field.is_required())
_REMEDY = f"correct the file, or remove it and give {', '.join(_NEEDED)}"


def write_memory(folder: Path, settings: TaskSettings) -> None:
    """Writes into a model folder what the model is fine-tuned for.

    Raises:
        CheckpointError: If the file can't be written.
    """
    known = settings.model_dump(mode="json", include=set(_NAMES))
    values = {name: value for name, value in known.items() if value is not None}
    write_json(folder / MEMORY_NAME, values, error=CheckpointError, sort_keys=True)


def read_memory(folder: Path) -> TaskMemory | None:
    """Reads what a model folder says it is fine-tuned for; None if it says nothing.

    Raises:
        CheckpointError: If the file is damaged, or no task has these options.
    """
    path = folder / MEMORY_NAME
    if not path.exists():
        return None
    values = read_json(path, error=CheckpointError, remedy=_REMEDY)
    try:
        memory = TaskMemory.from_values(values, where=MEMORY_NAME)
        load_task(memory.task).read_options(memory.task_options)
    except SettingsError as error:
        raise CheckpointError(
            f"{path} does not say what the model was fine-tuned for; {_REMEDY}: {error}"
        ) from None
    return memory


def recall_task(settings: SettingsT, progress: Progress) -> SettingsT:
    """Returns settings in which the model's own task stands where the user gave none.

    A model without `limbeck.json` leaves all as it is, but for the length: at which a sentence
    model's folder cuts texts, where the task goes by that, and which the model has positions for.
    The options of a task count for that task only.

    Args:
        settings: As they were given.
        progress: Where it is said what was taken.

    Raises:
        CheckpointError: If there is no such model, or its `limbeck.json` is wrong.
        MissingHeadError: If nobody names a task, and the model has no head for the usual one.
    """
    found = _recall(settings, progress)
    return found if "max_length" in settings.model_fields_set else _fit_length(found, progress)


def _recall(settings: SettingsT, progress: Progress) -> SettingsT:
    known = [name for name in _NAMES if name in type(settings).model_fields]
    open_names = [name for name in known if name not in settings.model_fields_set]
    is_needed = any(name in open_names for name in _NEEDED)
    memory = read_memory(resolve_folder(settings.model)) if is_needed else None
    if memory is None:
        if "task" in open_names:
            require_named_task(resolve_folder(settings.model), name=settings.model)
        return _recall_length(settings, progress) if "max_length" in open_names else settings
    found = {name: getattr(memory, name) for name in open_names}
    taken = {name: value for name, value in found.items() if value is not None}
    if _plain(taken.get("task", settings.task)) != _plain(memory.task):
        for name in ("task_options", "task_label"):
            taken.pop(name, None)
    if not taken:
        return settings
    shown = [
        f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in taken.items()
        if value != {}
    ]
    if shown:
        progress.log(f"{', '.join(shown)}: as the model was fine-tuned")
    return settings.model_copy(update=taken)


def _recall_length(settings: SettingsT, progress: Progress) -> SettingsT:
    """Returns settings with the length that a sentence model's folder says."""
    folder = resolve_folder(settings.model)
    if not load_task(settings.task).folder_cuts:
        return settings
    config = read_any_config(folder)
    try:
        length = read_sentence_config(folder, hidden_size=config.hidden_size).max_seq_length
    except CheckpointError:  # which the task tells, if nothing says how vectors are made
        return settings
    if length is None:
        return settings
    length = min(length, config.max_tokens or length)  # some folders name more than models take
    if length == settings.max_length:
        return settings
    progress.log(f"max_length {length}: as the model's folder says")
    return settings.model_copy(update={"max_length": length})


def _fit_length(settings: SettingsT, progress: Progress) -> SettingsT:
    """Returns settings with rows that are not longer than the model takes."""
    most = read_any_config(resolve_folder(settings.model)).max_tokens
    if most is None or settings.max_length <= most:
        return settings
    progress.log(f"max_length {most}: the most that the model takes")
    return settings.model_copy(update={"max_length": most})


def _plain(task: str) -> str:
    return task.replace("-", "_")
