"""Any number of labels for each example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
        """Tells whether label and prediction are lists, beside scores."""
        both = record["label"], record["prediction"]
        return all(isinstance(one, list) for one in both) and "scores" in record

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the sets, their labels one after the other."""
        right, predicted = (
            [self._name(row) for row in rows] for rows in (self.labels, self.predictions)
        )
        return right, predicted

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields three sets, with each label's share of the examples as its score.

        The most frequent set is right most often; all labels have the highest macro F1; and of
        micro F1, 2 hits / (labels + predictions), the k most frequent labels are the best k.
        """
        num_examples, num_labels = self.labels.shape
        counts = self.labels.sum(axis=0)
        order = np.argsort(-counts, kind="stable")
        hits, sizes = np.cumsum(counts[order]), num_examples * np.arange(1, num_labels + 1)
        best = order[: int(np.argmax(2 * hits / (counts.sum() + sizes))) + 1]
        most = Counter(row.tobytes() for row in self.labels).most_common(1)[0][0]
        often = np.isin(np.arange(num_labels), best)
        for chosen in (np.frombuffer(most, dtype=bool), often, np.ones(num_labels, dtype=bool)):
            yield (
                self._name(chosen),
                replace(
                    self,
                    predictions=np.broadcast_to(chosen, self.labels.shape),
                    scores=np.broadcast_to(counts / num_examples, self.labels.shape),
                ),
            )

    def _name(self, row: Bools) -> str:
        names = [str(name) for name, chosen in zip(self.names, row, strict=True) if chosen]
        return ", ".join(names) or "no label"

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
