"""How far a fine-tuning came before it was left for now, and what it scored: `beginning.json`."""

from __future__ import annotations

from typing import ClassVar

from limbeck.files.typed import Part, TypedFile


class BeginningPoint(Part):
    """A point at which it was left."""

    share: float
    """Of the first seed's steps."""
    step: int
    """The last one that was made."""
    scores: dict[str, float]
    """On the validation split."""
    elapsed_seconds: float
    """From the start on, pauses left out."""


class BeginningRecord(TypedFile):
    """All points at which it was left, in their order."""

    FILE_NAME: ClassVar[str] = "beginning.json"
    REMEDY: ClassVar[str] = "remove {folder} to begin again"

    epochs: float
    """Of the whole run."""
    points: tuple[BeginningPoint, ...]
    """The points."""
