"""What a search may not exceed, and what it found beside scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from limbeck.inference.footprint import Footprint
from limbeck.report import figures
from limbeck.report.facts import ModelFacts


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a model may take at most; None for no bound.

    Attributes:
        max_latency_ms: Median milliseconds for one text.
        max_size_mb: Megabytes of the files that are run.
        max_memory_mb: Megabytes by which a process grows that loads it.
    """

    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    max_memory_mb: float | None = None

    def items(self) -> Iterator[tuple[str, float]]:
        """Yields the bounds that there are, by their settings."""
        for name in ("max_size_mb", "max_latency_ms", "max_memory_mb"):
            limit = getattr(self, name)
            if limit is not None:
                yield name, limit

    def __str__(self) -> str:
        return " and ".join(word_bound(name, limit) for name, limit in self.items())


@dataclass(frozen=True, kw_only=True)
class Search:
    """What of a compression is of a search.

    Attributes:
        bounds: What a model may take.
        prefer: What was looked for.
        footprints: Size and memory of each model, by its label.
        expected: What each was expected to take before it was made, in words.
        not_tried: What was not made, and why.
        trials: What each student scored on the way, in words.
        notes: How costs were told, and how far off they may be, in sentences.
    """

    bounds: Bounds
    prefer: Literal["smallest", "fastest"]
    footprints: Mapping[str, Footprint]
    expected: Mapping[str, str] = field(default_factory=dict)
    not_tried: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def measure(self, model: ModelFacts) -> dict[str, float]:
        """Returns what a model takes, by the setting that bounds it, but for what is not known."""
        found = {"max_size_mb": model.file_bytes / 1e6}
        if model.speed is not None:
            found["max_latency_ms"] = model.speed.latency_ms.median
        footprint = self.footprints.get(model.label)
        if footprint is not None and footprint.loaded_bytes is not None:
            found["max_memory_mb"] = footprint.loaded_bytes / 1e6
        return found

    def excess(self, model: ModelFacts) -> dict[str, float]:
        """Returns how many times a bound each cost is that exceeds its bound, or is not known."""
        taken = self.measure(model)
        ratios = {name: taken.get(name, float("inf")) / most for name, most in self.bounds.items()}
        return {name: ratio for name, ratio in ratios.items() if ratio > 1}

    def rank(self, model: ModelFacts) -> tuple[float, float]:
        """Returns what is least in the model that is preferred."""
        taken = self.measure(model)
        first = "max_size_mb" if self.prefer == "smallest" else "max_latency_ms"
        return taken.get(first, float("inf")), -model.scores.median

    def word_memory(self, model: ModelFacts) -> str:
        """Words what a loaded model takes."""
        footprint = self.footprints.get(model.label)
        loaded = None if footprint is None else footprint.loaded_bytes
        return figures.or_none(loaded, figures.file_size)

    def word_excess(self, model: ModelFacts) -> list[str]:
        """Says of each bound that a model exceeds what it takes, and what would do."""
        taken = self.measure(model)
        limits = dict(self.bounds.items())
        return [
            f"{_VERBS[name]} {_word(name, taken[name]) if name in taken else 'an unknown amount'}"
            f"{_OBJECTS[name]} where {_word(name, limits[name])} would do"
            for name in self.excess(model)
        ]


_VERBS = {"max_size_mb": "has", "max_latency_ms": "takes", "max_memory_mb": "takes"}
_OBJECTS = {"max_size_mb": " of files", "max_latency_ms": "", "max_memory_mb": " of memory"}


def word_bound(name: str, limit: float) -> str:
    """Says a bound in words.

    Example:
        >>> word_bound("max_size_mb", 20), word_bound("max_latency_ms", 5)
        ('20.0 MB', '5.00 ms')
        >>> word_bound("max_memory_mb", 60)
        '60.0 MB of memory'
    """
    return _word(name, limit) + (" of memory" if name == "max_memory_mb" else "")


def _word(name: str, value: float) -> str:
    if name == "max_latency_ms":
        return figures.milliseconds(value)
    return figures.file_size(round(value * 1e6))
