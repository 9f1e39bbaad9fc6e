"""What came of an export."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from limbeck.files.typed import Part, TypedFile
from limbeck.runs.result import ResultRecord, move_path


class OutputsCompared(Part):
    """An export's outputs beside the model's, on the same rows."""

    largest: float
    """Largest difference of two numbers."""
    relative: float
    """That over the standard deviation of the output's numbers."""
    tolerance: float
    """What that may be in the target's precision."""
    agreement: float | None
    """Share of equal answers; None for vectors and numbers."""
    cosine: float | None
    """Mean cosine of vectors; None for a model with a head."""


class ScoreCompared(Part):
    """An export's score on the task beside the model's, on the same examples."""

    score: float
    """Its score by the main metric."""
    drop: float
    """The model's score minus this one."""
    interval: tuple[float, float] | None
    """95 % interval of `drop`, paired; None where the metric can't be resampled."""
    is_distinguishable: bool
    """Whether the examples tell the two apart."""


class Repair(Part):
    """What it took to keep the bound."""

    kept_float: tuple[str, ...]
    """Modules whose weights stayed in float, the most sensitive first."""
    kept_int8: tuple[str, ...] = ()
    """Modules whose weights got eight bits where the others have fewer, likewise."""
    num_exports: int
    """Exports that were tried."""
    file_bytes_before: int
    """Size of the export in which none did."""
    score_before: float | None
    """Its score; None without data."""
    latency_ms_before: float | None
    """Its latency; None if that was not measured."""


class RepairRecord(TypedFile):
    """What a repair has found so far, from which one that was interrupted goes on."""

    FILE_NAME: ClassVar[str] = "repair.json"
    REMEDY: ClassVar[str] = "remove it to measure again"

    costs: dict[str, tuple[float, ...]]
    """What narrowing each module alone costs, to the target's precision and then to wider ones:
    squared error over the outputs' variance."""
    refusals: dict[int, str | None]
    """By the number of steps in which the most sensitive modules were widened, why the export may
    not be used; None where it may."""


class ExportedModel(Part):
    """One target."""

    target: str
    """As `limbeck list targets` shows it."""
    engine: str | None
    """What runs it; None for what can be run elsewhere only."""
    precision: str
    """Type of its weights."""
    folder: str | None
    """The exported folder; None if it was refused."""
    refusal: str | None
    """Why it was refused."""
    not_run: str | None
    """What running it needs, if it was not run here."""
    file_bytes: int
    """Size of the files that are run."""
    outputs: OutputsCompared | None
    """None if it was not run."""
    score: ScoreCompared | None
    """None without data, or if it was not run."""
    latency_ms: float | None
    """Median at batch 1, tokenisation included; None if that was not measured."""
    speed_up: float | None
    """How many times as fast as the model in torch, measured in turns."""
    texts_per_second: float | None = None
    """Texts that it reads in a second, in a batch; None if that was not measured."""
    loaded_bytes: int | None = None
    """By how much a process grows that loads it; likewise."""
    peak_bytes: int | None = None
    """Most memory that such a process has, a batch of 8 rows of 128 tokens and all libraries
    included; likewise."""
    repair: Repair | None
    """What it took to keep the bound; None if nothing."""
    model_files: dict[str, str]
    """SHA-256 of each file of the folder, but for the card; none if it was refused."""


class ExportRecord(ResultRecord):
    """A model in other formats."""

    recipe: Literal["export"] = "export"
    """Name of the recipe."""
    model: str
    """The model that was exported."""
    model_class: str
    """Its class, or that of what it was held against."""
    compared_with: str | None = None
    """The model that exports were held against; None for the model itself."""
    training: str | None = None
    """How the model was trained for its format first; None if it was not."""
    file_bytes: int
    """Size of its weight files."""
    rows: str
    """What outputs were compared on."""
    num_rows: int
    """How many of them."""
    calibration: str | None
    """What targets were calibrated on that need it; None where there was none."""
    task: str | None
    """Task that was scored; None without data."""
    metric: str | None
    """Its main metric."""
    split: str | None
    """Split that was scored."""
    num_examples: int | None
    """Its examples."""
    score: float | None
    """The model's own score."""
    max_drop: float | None
    """The bound."""
    latency_ms: float | None
    """The model's own, in torch; None if that was not measured."""
    num_threads: int | None = None
    """Threads of the CPU that latencies were measured with."""
    texts_per_second: float | None = None
    """Texts that the model reads in a second in torch, in a batch; None if not measured."""
    loaded_bytes: int | None = None
    """By how much a process grows that loads the model in torch; likewise."""
    peak_bytes: int | None = None
    """Most memory that such a process has; likewise."""
    num_tokens: int | None = None
    """Mean length of the rows that outputs are compared on, of which operations are counted."""
    num_operations: int | None = None
    """Additions and multiplications of matrix products on such a text, in every format."""
    models: tuple[ExportedModel, ...] = Field(min_length=1)
    """One for each target."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with the exported folders where they are now."""
        models = tuple(
            model.model_copy(update={"folder": move_path(model.folder, old, new)})
            if model.folder is not None
            else model
            for model in self.models
        )
        return self.model_copy(update={"models": models})
