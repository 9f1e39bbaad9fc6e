"""A tag for every word of each sentence, which make entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from limbeck.metrics._counts import CountScore, score_summed
from limbeck.metrics._metric import Floats, PredictionRecord, Predictions, Weighted
from limbeck.metrics._per_label import per_label

_OUTSIDE, _BEGIN = "O", "B-"
_AVERAGES = ("micro avg", "macro avg", "weighted avg")


class EntityFigures(NamedTuple):
    """Precision, recall and F1 over all entities."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Tags(Predictions):
    """Predicted tags beside the right ones, in BIO2, a list of them for each sentence."""

    things: ClassVar[str] = "words"

    labels: Sequence[list[str]]
    predictions: Sequence[list[str]]

    @classmethod
    def from_records(
        cls,
        records: Sequence[PredictionRecord],
        *,
        classes: Sequence[Any] = (),  # noqa: ARG003 - types of entities follow from the tags
    ) -> Self:
        """Reads records whose label and prediction are lists of tags."""
        labels = [list(record["label"]) for record in records]
        return cls(labels, [list(record["prediction"]) for record in records])

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether the prediction is a list without scores."""
        return isinstance(record["prediction"], list) and "scores" not in record

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the tags of all words, one after the other."""
        return list(chain.from_iterable(self.labels)), list(chain.from_iterable(self.predictions))

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields the most frequent tag, and the most frequent one that begins an entity."""
        counts = Counter(chain.from_iterable(self.labels))
        first = [tag for tag, _ in counts.most_common(1)]
        begins = [tag for tag, _ in counts.most_common() if tag.startswith(_BEGIN)][:1]
        for tag in dict.fromkeys([*first, *begins]):
            yield tag, replace(self, predictions=[[tag] * len(tags) for tags in self.labels])

    @cached_property
    def entities(self) -> EntityFigures:
        """Figures of whole entities, 0 where there are none.

        Source:
            seqeval, which counts as CoNLL's `conlleval`: an I that goes on with nothing begins an
            entity.
        """
        from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

        found = precision_recall_fscore_support(
            self.labels, self.predictions, average="micro", zero_division=0
        )
        return EntityFigures(*(float(figure) for figure in found[:3]))

    def count(self, score: CountScore) -> Weighted:
        """Returns a score of counts of entities as a function of how often each sentence counts.

        Source:
            seqeval's `get_entities`.
        """
        from seqeval.metrics.sequence_labeling import get_entities

        rows = []
        for tags in zip(self.labels, self.predictions, strict=True):
            actual, predicted = (set(get_entities(one)) for one in tags)
            rows.append([len(actual & predicted), len(actual), len(predicted)])
        return self.weigh(rows, partial(score_summed, score=score))

    def weigh(
        self, rows: Sequence[Sequence[float]], score: Callable[[Floats, Floats], Floats]
    ) -> Weighted:
        """Returns a score of what is counted of each sentence; a sentence is right as a whole."""
        pairs = zip(self.labels, self.predictions, strict=True)
        right = np.array([label == prediction for label, prediction in pairs], dtype=float)
        return Weighted(values=np.array(rows, dtype=float), score=score, quality=right)

    def details(self) -> dict[str, Any]:
        """Returns precision, recall, F1 and support of each type of entity."""
        from seqeval.metrics import classification_report

        if all(tag == _OUTSIDE for tags in [*self.labels, *self.predictions] for tag in tags):
            return {"per_label": {}}  # seqeval would warn of means of nothing
        report = classification_report(
            self.labels, self.predictions, output_dict=True, zero_division=0
        )
        types = [name for name in report if name not in _AVERAGES]
        figures = ("precision", "recall", "f1-score", "support")
        columns = [[report[name][figure] for name in types] for figure in figures]
        return {"per_label": per_label(types, columns)}
