"""Any number of labels for each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from limbeck.metrics._counts import CountScore, score_summed
from limbeck.metrics._metric import Floats, PredictionRecord, Predictions, Weighted
from limbeck.metrics._per_label import per_label

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelSets(Predictions):
    """Predicted sets of labels beside the right ones.

    Attributes:
        labels: Which labels each example has.
        predictions: Which are predicted.
        scores: How likely each label is.
        names: The labels.

    Shape:
        labels, predictions, scores: (examples, labels).
    """

    labels: Bools
    predictions: Bools
    scores: Floats
    names: Sequence[str]

    @classmethod
    def from_records(
        cls, records: Sequence[PredictionRecord], *, classes: Sequence[Any] = ()
    ) -> Self:
        """Reads records whose label and prediction are lists of names, each name with a score."""
        found = {name for record in records for name in (*record["label"], *record["prediction"])}
        order = [*classes, *sorted(found - set(classes))]
        labels, predictions = (
            np.array([[name in record[which] for name in order] for record in records], dtype=bool)
            for which in ("label", "prediction")
        )
        scores = np.array([record["scores"] for record in records], dtype=float)
        return cls(labels, predictions, scores, order)

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether the prediction is a list beside scores."""
        return isinstance(record["prediction"], list) and "scores" in record

    @property
    def is_right(self) -> Floats:
        """1 where the whole set is right, (examples,)."""
        right: Floats = (self.labels == self.predictions).all(axis=1).astype(float)
        return right

    def count(self, score: CountScore) -> Weighted:
        """Returns a score of counts as a function of how often each example counts."""
        labels, predictions = self.labels.astype(float), self.predictions.astype(float)
        return Weighted(
            values=np.hstack([labels * predictions, labels, predictions]),
            score=partial(score_summed, score=score),
            quality=self.is_right,
        )

    def details(self) -> dict[str, Any]:
        """Returns precision, recall, F1 and support of each label."""
        from sklearn.metrics import precision_recall_fscore_support

        rows = [
            precision_recall_fscore_support(
                self.labels[:, i], self.predictions[:, i], average="binary", zero_division=0
            )[:3]
            for i in range(len(self.names))
        ]
        columns = [*zip(*rows, strict=True), self.labels.sum(axis=0)]
        return {"labels": list(self.names), "per_label": per_label(self.names, columns)}
