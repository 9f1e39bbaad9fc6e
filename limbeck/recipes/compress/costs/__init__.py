"""What models would cost on this machine in each format, told by a few that were timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limbeck.export import Target
from limbeck.recipes.compress.costs.fit import LinearCost, fit_cost
from limbeck.recipes.compress.costs.shapes import Shape
from limbeck.recipes.compress.targets import name_target
from limbeck.runs.costs import Probe

__all__ = ["Cost", "CostModel", "Predicted"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A cost before it is measured, and how far off that may be.

    Attributes:
        value: What is expected.
        error: Of it, as a share.
    """

    value: float
    error: float

    @property
    def least(self) -> float:
        """What it may be at best."""
        return self.value * (1 - self.error)

    @property
    def most(self) -> float:
        """What it may be at worst."""
        return self.value * (1 + self.error)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a model in a format is expected to take.

    Attributes:
        file_bytes: Size of the files that are run.
        latency_ms: For one text of median length, tokenisation included.
        loaded_bytes: By how much a process grows that loads it; None if that does not count.
    """

    file_bytes: Cost
    latency_ms: Cost
    loaded_bytes: Cost | None


@dataclass(frozen=True, kw_only=True)
class FormatCosts:
    """The costs of one format.

    Attributes:
        precision: Of its weights.
        beside: Bytes of a file beside its weights: in all, and for each layer.
        size_error: How far a size may be off, as a share.
        latency: Of a text.
        memory: Of a loaded model; None if that was not measured.
        noise: What the quartiles of a measurement are off by, as a share.
    """

    precision: str
    beside: tuple[float, float]
    size_error: float
    latency: LinearCost
    memory: LinearCost | None
    noise: float

    @property
    def latency_error(self) -> float:
        """How far off a latency may be, as a share; what was timed is known no better."""
        return min(max(self.latency.error, self.noise), 1.0)  # more than all is not off

    def predict(self, shape: Shape, num_tokens: int) -> Predicted:
        """Returns what a model of a shape is expected to take, for a text of so many tokens."""
        size = self._size(shape)
        latency = self.latency.predict(_features(shape, num_tokens, self.precision))
        loaded = None
        if self.memory is not None:
            loaded = Cost(value=self.memory.predict((1.0, size)), error=self.memory.error)
        return Predicted(
            file_bytes=Cost(value=size, error=self.size_error),
            latency_ms=Cost(value=latency, error=self.latency_error),
            loaded_bytes=loaded,
        )

    def _size(self, shape: Shape) -> float:
        constant, of_layer = self.beside
        return shape.count_bytes(self.precision) + constant + of_layer * shape.num_layers


class CostModel:
    """What models would cost, by their shape, format and the tokens of a text.

    A latency is a sum of a constant, a part for each layer (the steps of which it is made), one for
    each operation, and one for each byte of the matrices, which are read anew for every text. Sizes
    are counted; what files have beside their weights is taken from those of the probes.

    Args:
        probes: What was timed.
        shapes: Of each probe's source, by its name.
        targets: The formats, None for torch.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        shapes: Mapping[str, Shape],
        targets: Sequence[Target | None],
    ) -> None:
        self.formats = {
            name_target(target): _fit(
                [p for p in probes if p.target == name_target(target) and p.source in shapes],
                shapes,
                "fp32" if target is None else target.precision,
            )
            for target in targets
        }

    @property
    def error(self) -> float:
        """How far off a latency may be, in the format that is known least; as a share."""
        return max(known.latency_error for known in self.formats.values())

    @property
    def noise(self) -> float:
        """How far apart the rounds were in which latencies were taken; likewise."""
        return max(known.noise for known in self.formats.values())

    def predict(self, shape: Shape, target: Target | None, num_tokens: int) -> Predicted:
        """Returns what a model of a shape is expected to take in a format."""
        return self.formats[name_target(target)].predict(shape, num_tokens)


def _fit(probes: Sequence[Probe], shapes: Mapping[str, Shape], precision: str) -> FormatCosts:
    rows = [
        (_features(shapes[probe.source], num_tokens, precision), milliseconds, probe.source)
        for probe in probes
        for num_tokens, milliseconds in probe.latencies_ms.items()
    ]
    features, values, groups = zip(*rows, strict=True)
    beside, size_error = _fit_beside(probes, shapes, precision)
    return FormatCosts(
        precision=precision,
        beside=beside,
        size_error=size_error,
        latency=fit_cost(features, values, groups),
        memory=_fit_memory(probes),
        noise=max(probe.noise for probe in probes),
    )


def _features(shape: Shape, num_tokens: int, precision: str) -> tuple[float, ...]:
    return (
        1.0,
        float(shape.num_layers),
        float(shape.flops[num_tokens]),
        shape.count_matrix_bytes(precision),
    )


def _fit_beside(
    probes: Sequence[Probe], shapes: Mapping[str, Shape], precision: str
) -> tuple[tuple[float, float], float]:
    """Returns the bytes that files have beside their weights, and how far that leaves sizes off.

    Of three probes and more each is told from the others; where there are fewer, nothing else is
    told than those themselves.
    """
    sizes = np.asarray([p.file_bytes for p in probes])
    rest = sizes - [shapes[p.source].count_bytes(precision) for p in probes]
    table = np.asarray([(1.0, shapes[p.source].num_layers) for p in probes])
    every = np.arange(len(probes))

    def fit(rows: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = np.linalg.lstsq(table[rows], rest[rows], rcond=None)[0]
        return found

    told_by = [every[every != i] if len(probes) > 2 else every for i in every]
    told = [table[i] @ fit(rows) for i, rows in enumerate(told_by)]
    constant, of_layer = fit(every)
    return (float(constant), float(of_layer)), float((np.abs(told - rest) / sizes).max())


def _fit_memory(probes: Sequence[Probe]) -> LinearCost | None:
    known = [(p.file_bytes, p.loaded_bytes, p.source) for p in probes if p.loaded_bytes]
    if len(known) < len(probes) or not known:
        return None
    return fit_cost(
        [(1.0, float(size)) for size, _, _ in known],
        [float(loaded) for _, loaded, _ in known],
        [source for _, _, source in known],
    )
