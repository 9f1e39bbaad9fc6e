"""Mean average precision: how far up each label's examples, or each query's documents, stand.

It is averaged over the labels that occur, or over the queries.

Source:
    scikit-learn's `average_precision_score`, the sum of precision times gain of recall; of
    queries, trec_eval's `map`.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._counts import divide, mean_of
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import Floats, Form, Metric, Weighted
from limbeck.metrics._rankings import Rankings

_MOST_WEIGHTS = 400_000  # at a time, 3 MB: what a processor's cache holds


def _score(found: LabelSets) -> float:
    from sklearn.metrics import average_precision_score

    columns = zip(found.labels.T, found.scores.T, strict=True)
    precision = [average_precision_score(label, score) for label, score in columns if label.any()]
    return float(np.mean(precision)) if precision else 0.0


def _weigh(found: LabelSets) -> Weighted:
    """Takes labels and scores, each (examples, labels), one beside the other."""
    values = np.hstack([found.labels.astype(float), found.scores])
    return Weighted(values=values, score=_weighted, quality=found.is_right)


def _weighted(weights: Floats, values: Floats) -> Floats:
    labels, scores = np.split(values, 2, axis=1)
    step = max(1, _MOST_WEIGHTS // len(values))
    parts = [weights[i : i + step].T for i in range(0, len(weights), step)]
    return np.concatenate([_average(np.ascontiguousarray(p), labels, scores) for p in parts])


def _average(weights: Floats, labels: Floats, scores: Floats) -> Floats:
    """Returns the mean over the labels that occur.

    Precision counts only where a label's examples come in, so that examples are added up from one
    of those to the next.

    Shape:
        weights: (examples, rows).
    """
    total, occurs = np.zeros((2, weights.shape[1]))
    for label, score in zip(labels.T, scores.T, strict=True):
        if not label.any():
            continue
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(score[order]), 1.0)) + 1  # ties come in together
        starts = np.append(0, ends[:-1])
        has_hits = np.add.reduceat(label[order], starts) > 0
        starts = np.append(0, ends[has_hits][:-1])
        num_in = ends[has_hits][-1]
        ordered = weights[order[:num_in]]
        chosen = np.cumsum(np.add.reduceat(ordered, starts, axis=0), axis=0)
        is_hit = label[order[:num_in]].astype(bool)
        places = np.searchsorted(ends[has_hits], np.flatnonzero(is_hit), side="right")
        gains = np.add.reduceat(ordered[is_hit], np.searchsorted(places, range(len(starts))))
        hits = np.cumsum(gains, axis=0)
        precision = divide(hits, chosen)
        total += divide(np.einsum("kr,kr->r", precision, gains), hits[-1])
        occurs += hits[-1] > 0
    return divide(total, occurs)


METRIC = Metric(
    title="mean average precision",
    hub_type="mean_average_precision",
    forms=(
        Form(of=LabelSets, score=_score, weigh=_weigh),
        Form(
            of=Rankings,
            score=lambda found: float(found.average_precision().mean()),
            weigh=lambda found: mean_of(found.average_precision()),
        ),
    ),
)
