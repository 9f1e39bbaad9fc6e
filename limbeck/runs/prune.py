"""What came of pruning a model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from limbeck.files.typed import Part
from limbeck.runs.estimate import Estimate
from limbeck.runs.result import ResultRecord, move_path


class PrunedModel(Part):
    """The model as it was given, or what is left of it."""

    name: str
    """What tables call it."""
    folder: str
    """Its run folder."""
    num_layers: int
    """Encoder layers."""
    num_heads: tuple[int, ...]
    """Attention heads of each layer."""
    num_neurons: tuple[int, ...]
    """Feed-forward neurons of each layer."""
    hidden_size: int | None = None
    """Dimensions of the hidden states; None in results of before they were told."""
    num_parameters: int
    """Parameters, the head included."""
    file_bytes: int
    """Size of the weight files."""
    num_operations: int
    """Additions and multiplications of the layers' matrix products on a text of `num_tokens`."""
    seeds: tuple[int | None, ...]
    """Its seeds; None for the model as it was given."""
    scores: tuple[float, ...]
    """The main metric of each."""
    score: float
    """Their mean."""
    latency_ms: float | None
    """Milliseconds a text, one at a time; None where it was not measured."""
    texts_per_second: float | None
    """Texts a second in batches; likewise."""
    loaded_bytes: int | None = None
    """By how much a process grows that loads it in torch; likewise."""
    peak_bytes: int | None = None
    """Most memory that such a process has, a batch of 8 rows of 128 tokens and all libraries
    included; likewise."""


class PruneRound(Part):
    """What a round left, and how it scored after its training."""

    num_heads: tuple[int, ...]
    """Attention heads of each layer."""
    num_neurons: tuple[int, ...]
    """Feed-forward neurons of each layer."""
    num_parameters: int
    """Parameters, the head included."""
    density: float | None = None
    """Share of the layers' weights that its masks left; None for a round without masks."""
    validation: float
    """The main metric on validation; of several seeds the best, which went on."""


class PruneRecord(ResultRecord):
    """A model of fewer heads, neurons or layers, beside the one that it was made of."""

    recipe: Literal["prune"] = "prune"
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
    """Its examples."""
    num_tokens: int
    """Mean length of the training rows, of which operations are counted."""
    models: tuple[PrunedModel, PrunedModel]
    """The model as it was given, then what is left of it."""
    rounds: tuple[PruneRound, ...]
    """Each round, in order."""
    density: float | None = None
    """Share of the layers' weights that is not zero, where single weights were pruned."""
    sparse_bytes: int | None = None
    """Size of its file without zeros, in int8; likewise."""
    difference: Estimate | None
    """What the score changed by; None where no interval is known."""
    retained: Estimate | None
    """Share of the score that is kept; None where no share can be claimed."""
    latency_speed_up: float | None
    """How many times as fast it is one text at a time; None where it was not measured."""
    throughput_speed_up: float | None
    """How many times as many texts a second it reads in batches; likewise."""
    model: str
    """Folder of the pruned model."""
    model_files: dict[str, str]
    """SHA-256 of each of its files, but for the card."""
    headline: str
    """The outcome in a sentence."""
    files: dict[str, str]
    """The report's files by kind."""

    @property
    def before(self) -> PrunedModel:
        """The model as it was given."""
        return self.models[0]

    @property
    def after(self) -> PrunedModel:
        """What is left of it."""
        return self.models[1]

    def moved(self, old: Path, new: Path) -> Self:
        """Returns the result with models and files where they are now."""
        update = {
            "model": move_path(self.model, old, new),
            "models": tuple(
                model.model_copy(update={"folder": move_path(model.folder, old, new)})
                for model in self.models
            ),
            "files": {kind: move_path(file, old, new) for kind, file in self.files.items()},
        }
        return self.model_copy(update=update)
