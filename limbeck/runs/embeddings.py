"""What came of distilling a sentence encoder: `distill-embeddings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.runs.adapter import Adapter
from limbeck.runs.result import ResultRecord, move_path


class DistillEmbeddingsRecord(ResultRecord):
    """A student that gives vectors of texts."""

    recipe: Literal["distill-embeddings"] = "distill-embeddings"
    """Name of the recipe."""
    model: str
    """Its folder."""
    model_files: dict[str, str]
    """SHA-256 of each file of the model, in its folders too, but for the card."""
    teacher: str
    """The teacher's folder or Hub id."""
    teacher_adapter: Adapter | None = None
    """What ran it, where it is none of our families'."""
    teacher_gives: str
    """What the teacher said: `vectors` of texts or `scores` of pairs."""
    teacher_num_layers: int
    """The teacher's encoder layers."""
    teacher_width: int | None
    """Width of its vectors; None of one that scores."""
    num_layers: int
    """The student's encoder layers."""
    num_parameters: int
    """Its parameters, all that stands on the encoder included."""
    width: int
    """Width of its vectors."""
    projection: str | None
    """What made the widths equal; None where nothing had to."""
    num_rows: int
    """Rows that were learned from."""
    num_texts: int
    """Different texts in all rows."""
    num_held_out: int
    """Rows that were measured with."""
    num_steps: int
    """Optimiser steps made."""
    num_epochs: float
    """Passes over the rows."""
    elapsed_seconds: float
    """Training time."""
    held_out_before: dict[str, float]
    """How alike student and teacher were on held-out rows before the first step."""
    held_out_after: dict[str, float]
    """The same of the student that was kept."""
    validation_before: dict[str, float] | None = None
    """What the student scored on the validation pairs before the first step, if there are any."""
    validation_after: dict[str, float] | None = None
    """The same of the student that was kept."""
    validation_teacher: dict[str, float] | None = None
    """What the teacher scores on them, if it gives vectors."""
    best_step: int
    """Steps that made the student that was kept."""
    metrics_sha256: str | None = None
    """Of `metrics.jsonl`."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the model where it is now."""
        return self.model_copy(update={"model": move_path(self.model, old, new)})
