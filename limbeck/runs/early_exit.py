"""What came of giving a model early exits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.checkpoints.exits import Uncertainty
from limbeck.files.typed import Part
from limbeck.inference.speed import Percentiles
from limbeck.runs.estimate import Estimate
from limbeck.runs.result import ResultRecord, move_path


class ExitShare(Part):
    """An exit, or the end of the model."""

    layer: int
    """After how many layers it is."""
    share: float
    """Of the inputs that are reported, how many leave there."""
    num_operations: int
    """Additions and multiplications of matrix products up to there, of a text of `num_tokens`."""


class BoundTried(Part):
    """What comes of a bound."""

    bound: float
    """The bound."""
    mean_layers: float
    """Layers run on average, of the examples that chose."""
    score: float
    """The main metric of these."""
    reported_mean_layers: float
    """Layers run on average, of the examples that are reported."""
    reported_score: float
    """The main metric of these."""


class EarlyExitRecord(ResultRecord):
    """A model with exits beside itself without."""

    recipe: Literal["early_exit"] = "early_exit"
    """Name of the recipe."""
    examples_sha256: str
    """Of the encoded examples and labels."""
    task: str
    """Name of the task."""
    metric: str
    """Name of its main metric."""
    split: str
    """The split that is reported."""
    num_examples: int
    """Its examples that are."""
    chosen_on: str
    """Which examples chose the bound, in words."""
    uncertainty: Uncertainty
    """What is measured at each exit."""
    bound: float
    """An input leaves by the first exit where its uncertainty is below."""
    num_steps: int
    """Steps that the exits were trained for."""
    num_tokens: int
    """Mean length of the rows that are reported, of which operations are counted."""
    num_layers: int
    """Layers of the model."""
    mean_layers: float
    """Layers that a row of those that are reported runs through on average."""
    exits: tuple[ExitShare, ...]
    """Where inputs leave, the end of the model last."""
    full_num_operations: int
    """Operations of the model without exits."""
    full_file_bytes: int
    """Size of its weights."""
    file_bytes: int
    """Size with those of the exits."""
    full_score: float
    """The main metric of the model without exits."""
    score: float
    """That with exits."""
    difference: Estimate | None
    """What the score changed by; None where no interval is known."""
    retained: Estimate | None
    """Share of the score that is kept; None where no share can be claimed."""
    full_waits_ms: Percentiles | None
    """Milliseconds a text, one at a time, without exits; None where it was not measured."""
    waits_ms: Percentiles | None
    """The same with exits."""
    mean_speed_up: float | None
    """How many times as fast it is one text at a time, on average over texts."""
    throughput_speed_up: float | None
    """How many times as many texts a second it reads in batches."""
    full_loaded_bytes: int | None = None
    """By how much a process grows that loads the model without exits in torch; None where it was
    not measured."""
    full_peak_bytes: int | None = None
    """Most memory that such a process has, a batch of 8 rows of 128 tokens and all libraries
    included; likewise."""
    loaded_bytes: int | None = None
    """The first with exits."""
    peak_bytes: int | None = None
    """The other with exits."""
    tried: tuple[BoundTried, ...]
    """What comes of each bound, from the one by which nobody leaves up."""
    full_run: str
    """Folder of the evaluation without exits."""
    exits_run: str
    """Folder of that with them."""
    model: str
    """Folder of the model with exits."""
    model_files: dict[str, str]
    """SHA-256 of each of its files, but for the card."""
    headline: str
    """The outcome in a sentence."""
    files: dict[str, str]
    """The report's files by kind."""

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with folders and files where they are now."""
        folders = ("model", "full_run", "exits_run")
        update = {
            **{name: move_path(getattr(self, name), old, new) for name in folders},
            "files": {kind: move_path(file, old, new) for kind, file in self.files.items()},
        }
        return self.model_copy(update=update)
