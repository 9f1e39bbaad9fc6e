"""A model in a format: what a search compares, before and after it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from limbeck.export import Target
from limbeck.recipes.compress.costs import Cost, CostModel, Predicted
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.sources import Source
from limbeck.recipes.compress.targets import name_target
from limbeck.report import figures
from limbeck.report.bounds import Bounds

_EXACT = 0.005
"""An error below this is none worth a word."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A source in a format.

    Attributes:
        source: The student, or the model itself.
        target: The format; None for torch.
        predicted: What it is expected to take.
    """

    source: Source
    target: Target | None
    predicted: Predicted

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.source.name}, {name_target(self.target)}"

    @property
    def how(self) -> str:
        """How it is made, in words."""
        exported = "" if self.target is None else f"; exported to {name_target(self.target)}"
        return f"{self.source.how}{exported}"

    @property
    def costs(self) -> Mapping[str, Cost]:
        """What it is expected to take, by the setting that bounds it."""
        found = {
            "max_size_mb": in_megabytes(self.predicted.file_bytes),
            "max_latency_ms": self.predicted.latency_ms,
        }
        if self.predicted.loaded_bytes is not None:
            found["max_memory_mb"] = in_megabytes(self.predicted.loaded_bytes)
        return found

    def explain_excess(self, bounds: Bounds) -> str | None:
        """Returns which bound it can't keep, by more than the prediction may be off; or None."""
        words = [
            f"{name} = {limit:g}, and {describe_cost(name, cost)} is expected"
            for name, limit in bounds.items()
            if (cost := self.costs.get(name)) is not None and cost.least > limit
        ]
        return "; ".join(words) or None


def list_forms(
    sources: Sequence[Source],
    targets: Sequence[Target | None],
    costs: CostModel,
    *,
    num_tokens: int,
    settings: CompressSettings,
) -> list[Form]:
    """Returns every source in every format, what is expected to cost least first.

    The model itself in torch is none: nothing would be smaller.
    """
    found = [
        Form(
            source=source, target=target, predicted=costs.predict(source.shape, target, num_tokens)
        )
        for source in sources
        for target in targets
        if source.candidate is not None or target is not None
    ]
    return sorted(found, key=lambda form: _rank(form.predicted, settings))


def _rank(predicted: Predicted, settings: CompressSettings) -> float:
    is_of_time = settings.prefer == "fastest"
    return (predicted.latency_ms if is_of_time else predicted.file_bytes).value


def least_of(predicted: Predicted, settings: CompressSettings) -> float:
    """Returns what is to be small, at best: megabytes, or milliseconds."""
    if settings.prefer == "fastest":
        return predicted.latency_ms.least
    return in_megabytes(predicted.file_bytes).least


def in_megabytes(cost: Cost) -> Cost:
    """Returns a cost in bytes as one in megabytes."""
    return replace(cost, value=cost.value / 1e6)


def describe_cost(name: str, cost: Cost) -> str:
    """Words an expected cost in the unit of its bound, and between what it is likely to be.

    Example:
        >>> describe_cost("max_latency_ms", Cost(value=2, error=0.1))
        '2.00 ms (likely 1.80 ms to 2.20 ms)'
        >>> describe_cost("max_size_mb", Cost(value=20, error=0)).split()
        ['20.0', 'MB']
        >>> describe_cost("max_latency_ms", Cost(value=2, error=1))
        '2.00 ms (hardly known yet)'
    """

    def say(value: float) -> str:
        if name == "max_latency_ms":
            return figures.milliseconds(value)
        return figures.file_size(round(value * 1e6))

    if cost.error < _EXACT:
        return say(cost.value)
    likely = f"likely {say(cost.least)} to {say(cost.most)}"
    return f"{say(cost.value)} ({likely if cost.error < 1 else 'hardly known yet'})"
