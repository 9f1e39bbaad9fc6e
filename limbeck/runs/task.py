"""What the results of `finetune` and `evaluate` share: one model on one task."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from limbeck.files.typed import Part
from limbeck.runs.adapter import Adapter
from limbeck.runs.result import ResultRecord

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
    num_held_out: NotRequired[int]


class Trivial(Part):
    """What a split gives to a model that never looks at its input."""

    answer: str
    """The answer that scores best where every example gets it; of any where all score the same."""
    score: float
    """Its score by the main metric."""
    favourite: str | None
    """What the run's model predicts and how often, where that is nearly always the same."""


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
    num_held_out: int = 0
    """Examples of validation that were held out of the training split, since there was no other."""
    adapter: Adapter | None = None
    """What ran the model of an evaluation, or the teacher of a fine-tuning, where that is none of
    our families'."""
    num_layers: int
    """Encoder layers."""
    num_parameters: int
    """Parameters, the head included."""
    file_bytes: int
    """Size of the weight files."""
