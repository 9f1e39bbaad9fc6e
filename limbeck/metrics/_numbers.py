"""A number for each example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from limbeck.metrics._metric import Floats, PredictionRecord, Predictions, Weighted


@dataclass(frozen=True)
class Numbers(Predictions):
    """Predicted numbers beside the right ones, each (examples,)."""

    labels: Floats
    predictions: Floats

    @classmethod
    def from_records(
        cls,
        records: Sequence[PredictionRecord],
        *,
        classes: Sequence[Any] = (),  # noqa: ARG003 - there are none
    ) -> Self:
        """Reads records whose label and prediction are numbers."""
        labels = np.array([record["label"] for record in records], dtype=float)
        return cls(labels, np.array([record["prediction"] for record in records], dtype=float))

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether the prediction is a number with a point."""
        return isinstance(record["prediction"], float)

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the numbers with six digits."""
        right, predicted = ([f"{x:g}" for x in row] for row in (self.labels, self.predictions))
        return right, predicted

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields the mean: nothing correlates with it, and no other has a smaller squared error."""
        mean = float(self.labels.mean())
        yield f"{mean:.3g}, the mean", replace(self, predictions=np.full_like(self.labels, mean))

    @property
    def vary(self) -> bool:
        """Whether a correlation is defined: neither side is all the same."""
        return bool(
            len(self.labels) > 1 and np.ptp(self.labels) > 0 and np.ptp(self.predictions) > 0
        )

    def weigh(self, score: Callable[[Floats, Floats], Floats]) -> Weighted:
        """Returns a score of pairs of numbers as a function of how often each example counts.

        Args:
            score: Takes weights, (rows, examples), and pairs of right and predicted number.
        """
        values = np.stack([self.labels, self.predictions], axis=1)
        # Centred, the sums of squares lose no digits.
        values -= values.mean(axis=0)
        return Weighted(values=values, score=score, quality=-np.abs(values[:, 0] - values[:, 1]))
