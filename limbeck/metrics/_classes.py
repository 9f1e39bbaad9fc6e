"""One of several classes for each example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from limbeck.metrics._counts import Counts, CountScore
from limbeck.metrics._metric import Floats, PredictionRecord, Predictions, Weighted
from limbeck.metrics._per_label import per_label

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Classes(Predictions):
    """Predicted classes beside the right ones.

    Attributes:
        labels: The right class of each example, as its place among the names.
        predictions: The predicted one.
        names: All classes, whether they occur or not.
    """

    labels: Ids
    predictions: Ids
    names: Sequence[Any]

    @classmethod
    def from_records(
        cls, records: Sequence[PredictionRecord], *, classes: Sequence[Any] = ()
    ) -> Self:
        """Reads records whose label and prediction are names of classes."""
        labels = [record["label"] for record in records]
        predictions = [record["prediction"] for record in records]
        order = [*classes, *sorted({*labels, *predictions} - set(classes))]
        ids = {name: number for number, name in enumerate(order)}
        return cls(
            np.array([ids[name] for name in labels], dtype=np.int64),
            np.array([ids[name] for name in predictions], dtype=np.int64),
            order,
        )

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether label and prediction are each one name."""
        return not any(isinstance(record[which], list | float) for which in ("label", "prediction"))

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the names of the right and of the predicted classes."""
        names = list(map(str, self.names))
        return [names[i] for i in self.labels], [names[i] for i in self.predictions]

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields the most frequent class; the other of two as well, which F1 may be of."""
        most = int(np.bincount(self.labels).argmax())
        for number in range(2) if self.num_labels == 2 else [most]:
            yield (
                str(self.names[number]),
                replace(self, predictions=np.full_like(self.labels, number)),
            )

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Which predictions are right, (examples,)."""
        right: npt.NDArray[np.bool_] = self.labels == self.predictions
        return right

    def count(self, score: CountScore) -> Weighted:
        """Returns a score of counts as a function of how often each example counts."""
        return Weighted(
            values=np.stack([self.labels, self.predictions], axis=1).astype(float),
            score=partial(_score_counts, score=score, num_classes=self.num_labels),
            quality=self.is_right.astype(float),
        )

    def details(self) -> dict[str, Any]:
        """Returns where predictions go wrong.

        Returns:
            `confusion_matrix`, whose rows are the right classes and columns the predicted ones,
            both in the order of `labels`; and `per_label`: precision, recall, f1 and support.
        """
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        known = list(range(self.num_labels))
        columns = precision_recall_fscore_support(
            self.labels, self.predictions, labels=known, average=None, zero_division=0
        )
        matrix = confusion_matrix(self.labels, self.predictions, labels=known)
        return {
            "labels": list(self.names),
            "confusion_matrix": matrix.tolist(),
            "per_label": per_label(self.names, columns),
        }


def _score_counts(
    weights: Floats, values: Floats, *, score: CountScore, num_classes: int
) -> Floats:
    known = np.arange(num_classes)
    is_label = (values[:, :1] == known).astype(float)
    is_predicted = (values[:, 1:] == known).astype(float)
    hits = weights @ (is_label * is_predicted)
    return score(Counts(hits, weights @ is_label, weights @ is_predicted))
