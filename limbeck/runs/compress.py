"""What came of making a model smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from limbeck.files.typed import Part
from limbeck.runs.result import ResultRecord, move_path
from limbeck.runs.run import Hardware


class CompressedModel(Part):
    """The teacher, or a student that was tried."""

    name: str
    """What tables call it."""
    role: str
    """`teacher` or `student`."""
    how: str
    """How it is made, in words."""
    folder: str
    """Its run folder."""
    num_layers: int
    """Encoder layers."""
    num_parameters: int
    """Parameters, the head included."""
    file_bytes: int
    """Size of the weight files."""
    seeds: tuple[int | None, ...]
    """Its seeds; None for the teacher."""
    scores: tuple[float, ...]
    """The main metric of each."""
    score: float
    """Their median."""
    retained: float | None
    """Share of the teacher's score; None for the teacher, and where no share can be claimed."""
    retained_interval: tuple[float, float] | None
    """95 % interval of that share; None where there is none."""
    reached: bool | None
    """Whether it keeps what was asked; None for the teacher."""
    latency_ms: float | None
    """Milliseconds a text, one at a time; None where it was not measured."""
    speed_up: float | None
    """How many times as fast as the teacher."""
    loaded_bytes: int | None = None
    """By how much a process grew that loaded it; None where it was not measured."""
    peak_bytes: int | None = None
    """Most memory of that process, Python and libraries included."""
    expected: str | None = None
    """What it was expected to take before it was made, of a search."""


class CompressRecord(ResultRecord):
    """All that was tried, and what was chosen."""

    recipe: Literal["compress"] = "compress"
    """Name of the recipe."""
    asked: dict[str, Any]
    """The settings that decide what is tried and chosen."""
    examples_sha256: str
    """Of the encoded examples and labels."""
    task: str
    """Name of the task."""
    metric: str
    """Name of its main metric."""
    split: str
    """The split that chose."""
    num_examples: int
    """Its examples."""
    retain: float
    """Share of the teacher's score that was asked for."""
    reached: bool
    """Whether a student keeps that."""
    chosen: str | None
    """Name of the smallest that does."""
    model: str | None
    """Folder of that student's model."""
    headline: str
    """The outcome in a sentence."""
    on_test: str | None
    """What the test split says of it; None where it was not scored."""
    models: tuple[CompressedModel, ...]
    """The teacher, then the students."""
    files: dict[str, str]
    """The report's files by kind."""
    bounds: dict[str, float] | None = None
    """What a model may take at most, by the settings; None where nothing was searched for."""
    not_tried: dict[str, str] = Field(default_factory=dict)
    """What was not made, and why."""
    nearest: str | None = None
    """Of a search without success, the model that is least far from the contract."""
    looser: tuple[str, ...] = ()
    """Of a search without success, what would do in place of what was asked, each by itself."""
    model_files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file of the chosen model, but for the card; empty where its own run has
    them."""
    machine: Hardware | None = None
    """Where latency and memory were measured, of a search."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with models and files where they are now."""
        update = {
            "model": None if self.model is None else move_path(self.model, old, new),
            "models": tuple(
                model.model_copy(update={"folder": move_path(model.folder, old, new)})
                for model in self.models
            ),
            "files": {kind: move_path(file, old, new) for kind, file in self.files.items()},
        }
        return self.model_copy(update=update)
