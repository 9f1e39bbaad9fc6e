"""What came of an evaluation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from limbeck.runs.task import TaskRecord, Trivial


class EvaluateRecord(TaskRecord):
    """One fine-tuned model on one split."""

    recipe: Literal["evaluate"] = "evaluate"
    """Name of the recipe."""
    split: str
    """The split."""
    num_examples: int
    """Its examples."""
    scores: dict[str, float] | None
    """The metrics; None where the split has no labels."""
    trivial: dict[str, Trivial] = Field(default_factory=dict)
    """What the split gives to one and the same answer, under its name; empty without labels."""
    details: dict[str, Any]
    """What the task tells besides, such as a confusion matrix."""
    submission: str | None
    """Name of the file that the benchmark's own scorer reads, if there is one."""
    elapsed_seconds: float
    """Time of reading, predicting and scoring."""
    predictions_sha256: str
    """Of `predictions.jsonl`."""
