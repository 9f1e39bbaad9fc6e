"""What came of trimming a model's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.files.typed import Part
from limbeck.runs.result import ResultRecord, move_path


class Load(Part):
    """What a model takes; what was not measured is None."""

    file_bytes: int
    """Size of its weight files."""
    num_operations: int
    """Additions and multiplications of matrix products on a text of `num_tokens`."""
    num_tokens: int
    """Length of that text."""
    latency_ms: float | None = None
    """Milliseconds a text, one at a time, tokenised too."""
    texts_per_second: float | None = None
    """Texts a second in a batch."""
    loaded_bytes: int | None = None
    """By how much a process grows that loads it in torch."""
    peak_bytes: int | None = None
    """Most memory that such a process has, a batch of 8 rows of 128 tokens and all libraries
    included."""


class TrimRecord(ResultRecord):
    """A model with smaller tables."""

    recipe: Literal["trim"] = "trim"
    """Name of the recipe."""
    model: str
    """Its folder."""
    num_pieces: int
    """Pieces that it embeds."""
    num_parameters: int
    """Its parameters, the head included."""
    num_pieces_before: int
    """Pieces that the given model embeds."""
    num_parameters_before: int
    """Parameters of that."""
    max_tokens: int | None = None
    """Longest input that it takes, in tokens; None where there is no limit."""
    max_tokens_before: int | None = None
    """Longest input that the given model takes."""
    embedding_rank: int | None = None
    """Rank of its table of words; None for one that is not factorised."""
    load: Load | None = None
    """What it takes; None where that was not measured."""
    load_before: Load | None = None
    """What the given model takes; likewise."""
    model_files: dict[str, str]
    """SHA-256 of each file of the model, but for the card."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the model where it is now."""
        return self.model_copy(update={"model": move_path(self.model, old, new)})
