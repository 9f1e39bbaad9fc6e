"""For each query, documents in an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from limbeck.metrics._metric import Floats, PredictionRecord, Predictions

_CUTOFFS = (1, 3, 5, 10, 20, 50, 100, 1000)
_NONE = "none"


@dataclass(frozen=True)
class Rankings(Predictions):
    """The documents that are found for each query, the best first, beside what is relevant.

    As in TREC's scorer, a document that nobody judged is not relevant, relevant is what has a
    relevance above 0, and a query without a relevant document counts, with a score of 0.

    Attributes:
        judged: For each query, the relevance of documents by their id.
        orders: For each query, ids of documents.

    Source:
        trec_eval 9, as `pytrec_eval` and BEIR call it.
    """

    things: ClassVar[str] = "queries"

    judged: Sequence[Mapping[str, float]]
    orders: Sequence[Sequence[str]]

    @classmethod
    def from_records(
        cls,
        records: Sequence[PredictionRecord],
        *,
        classes: Sequence[Any] = (),  # noqa: ARG003 - there are none
    ) -> Self:
        """Reads records whose label tells relevances by id, and whose prediction is a list."""
        judged = [record["label"] for record in records]
        return cls(judged, [record["prediction"] for record in records])

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether the label says something of each of several documents."""
        return isinstance(record["label"], Mapping)

    @staticmethod
    def decision(record: PredictionRecord) -> Any:
        """Returns the document that is found first: whole orders are hardly ever the same."""
        return record["prediction"][:1]

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the most relevant document of each query, and the one that is found first."""
        right = [max(judged, key=judged.__getitem__, default=_NONE) for judged in self.judged]
        return right, [order[0] if order else _NONE for order in self.orders]

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields one order of documents for every query: that in which most queries look for them.

        Where each query has candidates of its own, which are all judged, no order can be the same
        for all; they are shuffled.
        """
        pairs = list(zip(self.judged, self.orders, strict=True))
        if all(judged.keys() >= set(order) for judged, order in pairs):
            random = np.random.default_rng(0)
            shuffled = [[order[i] for i in random.permutation(len(order))] for order in self.orders]
            yield "a random order", replace(self, orders=shuffled)
            return
        wanted = Counter(
            name for judged in self.judged for name, value in judged.items() if value > 0
        )
        longest = max(map(len, self.orders))
        order = [name for name, _ in wanted.most_common(longest)]
        yield "one and the same order", replace(self, orders=[order] * len(pairs))

    @cached_property
    def _gains(self) -> list[Floats]:
        """For each query, the relevance of what is found, in its order; 0 where it is not."""
        return [
            np.array([max(judged.get(name, 0.0), 0.0) for name in order], dtype=float)
            for judged, order in zip(self.judged, self.orders, strict=True)
        ]

    @cached_property
    def _ideal(self) -> list[Floats]:
        """For each query, the relevances above 0, the largest first."""
        return [
            np.sort(np.array([value for value in judged.values() if value > 0], dtype=float))[::-1]
            for judged in self.judged
        ]

    def ndcg(self, at: int) -> Floats:
        """Returns the discounted gain of the first `at` over the best there is, (queries,).

        Source:
            Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with
            the discount log2(rank + 1) and the relevance as the gain, as trec_eval's `ndcg_cut`.
        """
        pairs = zip(self._gains, self._ideal, strict=True)
        return np.array([_dcg(gains[:at]) / (_dcg(ideal[:at]) or 1.0) for gains, ideal in pairs])

    def reciprocal_rank(self, at: int) -> Floats:
        """Returns 1 / rank of the first relevant document; 0 if none is among `at`, (queries,).

        Source:
            Voorhees, "The TREC-8 Question Answering Track Report", 1999.
        """
        hits = [np.flatnonzero(gains[:at]) for gains in self._gains]
        return np.array([1 / (hit[0] + 1) if len(hit) else 0.0 for hit in hits])

    def recall(self, at: int) -> Floats:
        """Returns the share of the relevant documents that is among the first `at`, (queries,)."""
        pairs = zip(self._gains, self._ideal, strict=True)
        return np.array(
            [np.count_nonzero(gains[:at]) / (len(ideal) or 1) for gains, ideal in pairs]
        )

    def average_precision(self) -> Floats:
        """Returns the mean precision at the relevant documents, 0 at those not found, (queries,).

        Source:
            trec_eval's `map`.
        """
        return np.array(
            [_average_precision(g, len(i)) for g, i in zip(self._gains, self._ideal, strict=True)]
        )

    def details(self) -> dict[str, Any]:
        """Returns the scores at each cutoff up to the length of the lists, as `at`."""
        longest = max(map(len, self.orders))
        figures = {"ndcg": self.ndcg, "mrr": self.reciprocal_rank, "recall": self.recall}
        return {
            "at": {
                str(at): {name: float(of(at).mean()) for name, of in figures.items()}
                for at in _CUTOFFS
                if at <= longest
            }
        }


def _dcg(gains: Floats) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())


def _average_precision(gains: Floats, num_relevant: int) -> float:
    ranks = np.flatnonzero(gains) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum()) / (num_relevant or 1)
