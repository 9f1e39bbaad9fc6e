"""What a target of an export is: a format that a model is written in, and what runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, cast

import torch
from torch import Tensor

from limbeck import listing
from limbeck.errors import ExportError, require_extra
from limbeck.export._graph import Graph

Calibration = Sequence[Mapping[str, Any]]
"""Batches of inputs by name, int64 tensors of (batch, sequence), of the user's own text."""

Role: TypeAlias = Literal["matrix", "words", "table"]
"""What a weight is there for: products, looking words up, or looking up anything else."""


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
    method: ClassVar[str | None] = None
    """What `limbeck quantise` calls it; None for what is written by `limbeck export` alone."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that writing needs, as they are imported."""
    extra: ClassVar[str] = ""
    """The extra that installs them."""
    needs_calibration: ClassVar[bool] = False
    """Whether texts are looked at: for ranges of activations, or for how weights are rounded."""
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

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:  # noqa: ARG002
        """Returns a weight as the format keeps it, in float again: to find what loses most by it.

        By default each row of a matrix has a scale of its own in int8.

        Args:
            weight: The matrix.
            role: What it is there for, as some formats narrow tables in another way.

        Shape:
            weight, result: (rows, columns).
        """
        if self.precision == "fp16":
            return weight.half().to(weight.dtype)
        return narrow_rows(weight, steps=127) if self.precision == "int8" else weight

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


def narrow_rows(weight: Tensor, *, steps: int) -> Tensor:
    """Returns a matrix whose rows have whole numbers and a scale each, in float again.

    Args:
        weight: The matrix.
        steps: Largest whole number, in both directions alike.

    Shape:
        weight, result: (rows, columns).
    """
    scales = weight.abs().amax(dim=1, keepdim=True) / steps
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return (weight / scales).round() * scales


def load_target(name: str) -> Target:
    """Returns the target of a name.

    Raises:
        SettingsError: If there is none; the message lists those there are.
    """
    return cast(Target, listing.load(listing.ROOMS["targets"], name).TargetType())
