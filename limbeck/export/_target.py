"""What a target of an export is: a format that a model is written in, and what runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck import listing
from limbeck.errors import ExportError, require_extra
from limbeck.export._graph import Graph

_STEPS = {"int8": 127, "int4": 7}
"""Largest whole number of each type, in both directions alike."""
_BLOCKS = {"int8": None, "int4": 32}
"""How many numbers of a row have a scale in common; None for all."""

Calibration = Sequence[Mapping[str, Any]]
"""Batches of inputs by name, int64 tensors of (batch, sequence), of the user's own text."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a target has written.

    Attributes:
        files: Paths within the folder, what is run first.
        token_buckets: The only lengths of rows that it takes, in tokens; None for every length.
        made_with: Versions of libraries and of the format, by name.
        options: What the target chose, for card and record.
    """

    files: tuple[str, ...]
    token_buckets: tuple[int, ...] | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Target(ABC):
    """A format; one public module of this room each, whose `TargetType` is all that is needed.

    The module's name is the target's name, as in `limbeck export MODEL --to onnx`.
    """

    engine: ClassVar[str | None] = None
    """What runs it here; None for what can be run elsewhere only."""
    needs: ClassVar[str] = ""
    """What runs it where no engine does, in words, such as `a Mac`."""
    precision: ClassVar[str] = "fp32"
    """Type of the weights: fp32, fp16, int8 or int4."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that writing needs, as they are imported."""
    extra: ClassVar[str] = ""
    """The extra that installs them."""
    needs_calibration: ClassVar[bool] = False
    """Whether ranges of activations are taken from texts."""
    tolerance: ClassVar[float] = 1e-4
    """Largest difference of outputs from torch's, relative to their own spread, that a sound
    export in this precision shows."""

    @property
    def name(self) -> str:
        """The target's name, as it is imported."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def shown_name(self) -> str:
        """The target's name, as users write it."""
        return self.name.replace("_", "-")

    def describe_runtime(self) -> str | None:
        """Says for a dry run where what runs it comes from, if it is written too; else None."""
        return None

    def refuse(self, graph: Graph) -> str | None:  # noqa: ARG002 - most take every model
        """Returns why this model can't be exported so, in words; None if it can."""
        return None

    def longest_row(self, graph: Graph) -> int | None:  # noqa: ARG002 - most take every length
        """Returns the most tokens of a row that the file takes; None for the model's own."""
        return None

    @abstractmethod
    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes the model into a folder that is there; see `write_export`.

        Args:
            graph: The model.
            folder: Where to; `config.json` and tokenizer are there already.
            calibration: Where the target needs it.
            keep_float: Names of the modules of `graph.model` whose weights stay in float, such as
                `encoder.layers.0.feed_forward.output`; for targets that narrow weights.
        """

    @property
    def narrows_inputs(self) -> bool:
        """Whether the inputs of its matrix products are narrowed too, where outliers cost most."""
        return self.precision == "int8"

    def narrow(self, weight: Tensor) -> Tensor:
        """Returns a weight as the format keeps it, in float again: to find what loses most by it.

        By default each row of a matrix has a scale of its own in int8, and each 32 of its numbers
        in int4.

        Shape:
            weight: (rows, columns).
        """
        if self.precision == "fp16":
            return weight.half().to(weight.dtype)
        if self.precision not in _STEPS:
            return weight
        steps, size = _STEPS[self.precision], _BLOCKS[self.precision] or weight.shape[-1]
        padded = F.pad(weight, (0, -weight.shape[-1] % size))
        parts = padded.view(*weight.shape[:-1], -1, size)
        scale = parts.abs().amax(dim=-1, keepdim=True) / steps
        scale = scale.clamp_min(torch.finfo(weight.dtype).tiny)
        narrow: Tensor = ((parts / scale).round() * scale).flatten(-2)
        return narrow[..., : weight.shape[-1]].contiguous()

    def check(self, graph: Graph) -> None:
        """Refuses what can't be written, before anything is.

        Raises:
            ExportError: If the model can't be exported so.
            MissingExtraError: If a package is not installed; the message gives the pip line.
        """
        reason = self.refuse(graph)
        if reason is not None:
            raise ExportError(
                f"{graph.class_name} can't be exported to {self.shown_name}: {reason}"
            )
        for package in self.packages:
            require_extra(package, extra=self.extra, purpose=f"export to {self.shown_name}")


def load_target(name: str) -> Target:
    """Returns the target of a name.

    Raises:
        SettingsError: If there is none; the message lists those there are.
    """
    return cast(Target, listing.load(listing.ROOMS["targets"], name).TargetType())
