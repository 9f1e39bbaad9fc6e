"""What the results of `finetune` and `evaluate` share: one model on one task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from limbeck.errors import DataError
from limbeck.runs.result import ResultRecord, read_recipe

if TYPE_CHECKING:
    from limbeck.runs.evaluate import EvaluateRecord
    from limbeck.runs.finetune import FinetuneRecord

Role = Literal["teacher", "student", "baseline", "other"]
"""Part of a model in reports."""


class ModelSize(TypedDict):
    """How large a model is."""

    num_layers: int
    num_parameters: int
    file_bytes: int


class TaskNames(TypedDict):
    """What a run's model and task are called."""

    task: str
    metric: str
    labels: tuple[str, ...]
    label: str
    role: Role
    model: str


class TaskRecord(ResultRecord):
    """One model on one task."""

    task: str
    """Name of the task."""
    metric: str
    """Name of its main metric."""
    labels: tuple[str, ...]
    """The labels in the task's order; none where it has none."""
    label: str
    """Name of the model in reports."""
    role: Role
    """Part of the model in reports."""
    model: str
    """The model folder or Hub id that was fine-tuned or evaluated."""
    num_layers: int
    """Encoder layers."""
    num_parameters: int
    """Parameters, the head included."""
    file_bytes: int
    """Size of the weight files."""


def read_task_record(folder: Path) -> FinetuneRecord | EvaluateRecord:
    """Reads the result of a finished run of `finetune` or of `evaluate`.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or
            `result.json` can't be used.
    """
    from limbeck.runs.evaluate import EvaluateRecord
    from limbeck.runs.finetune import FinetuneRecord

    recipe = read_recipe(folder)
    if recipe == "finetune":
        return FinetuneRecord.read(folder)
    if recipe == "evaluate":
        return EvaluateRecord.read(folder)
    raise DataError(
        f"{folder} holds a run of '{recipe}', not of 'finetune' or 'evaluate'; a report joins "
        "those, and takes a distillation as its distill run"
    )
