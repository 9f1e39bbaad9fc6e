"""What a target of an export is: a format that a model is written in, and what runs it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

from limbeck import listing
from limbeck.errors import ExportError, require_extra
from limbeck.export._graph import Graph
from limbeck.export._narrowing import Narrowing

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


class Target(Narrowing, ABC):
    """A format; one public module of this room each, whose `TargetType` is all that is needed.

    The module's name is the target's name, as in `limbeck export MODEL --to onnx`.
    """

    engine: ClassVar[str | None] = None
    """What runs it here; None for what can be run elsewhere only."""
    needs: ClassVar[str] = ""
    """What runs it where no engine does, in words, such as `a Mac`."""
    method: ClassVar[str | None] = None
    """What `limbeck quantise` calls it; None for what is written by `limbeck export` alone."""
    trained_bits: ClassVar[int | None] = None
    """How many bits a weight has of a model that is trained for this target, which writes it as it
    was trained; None where none is."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that writing needs, as they are imported."""
    extra: ClassVar[str] = ""
    """The extra that installs them."""
    needs_calibration: ClassVar[bool] = False
    """Whether texts are looked at: for ranges of activations, or for how weights are rounded."""
    does_without_texts: ClassVar[bool] = False
    """Whether one that looks at texts is written without any, too."""
    tolerance: ClassVar[float] = 1e-4
    """Largest difference of outputs from torch's, relative to their own spread, that a sound
    export in this precision shows."""

    wider: ClassVar[tuple[Narrowing, ...]] = ()
    """What single modules may be kept in instead, from the narrowest on; after them comes float."""
    widened: Mapping[str, Narrowing] = MappingProxyType({})
    """Modules of `graph.model` that are kept in one of `wider`."""

    def widen(self, modules: Mapping[str, Narrowing]) -> Self:
        """Returns the target with some modules kept in one of `wider`."""
        other = copy.copy(self)
        other.widened = dict(modules)
        return other

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

    def fit_to(
        self,
        graph: Graph,  # noqa: ARG002 - most write a file from the model and texts alone
        calibration: Calibration,  # noqa: ARG002
        *,
        keep_float: Sequence[str] = (),  # noqa: ARG002
    ) -> Self:
        """Returns the target with what it finds of a model on texts, for all files of that model.

        A repair writes several, which would each find it anew.

        Args:
            graph: The model.
            calibration: As in `write`.
            keep_float: Modules that stay in float in each of the files.
        """
        return self

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


def list_trained() -> dict[int, str]:
    """Returns the targets that models are trained for, by the bits of a weight, the fewest first.

    Example:
        >>> list_trained()
        {2: 'onnx_int2', 4: 'onnx_int4', 8: 'onnx_int8'}
    """
    room = listing.ROOMS["targets"]
    bits = {name: load_target(name).trained_bits for name in listing.list_names(room)}
    return dict(sorted((count, name) for name, count in bits.items() if count is not None))


def load_trained(bits: int) -> Target:
    """Returns the target that a model is trained for whose weights have some bits each."""
    return load_target(list_trained()[bits])
