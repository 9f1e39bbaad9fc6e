"""Mean average precision: how far up each label's examples stand, averaged over those that occur.

Source:
    scikit-learn's `average_precision_score`, the sum of precision times gain of recall.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._counts import divide
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import Floats, Form, Metric, Weighted


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
    total, occurs = np.zeros(len(weights)), np.zeros(len(weights))
    for label, score in zip(labels.T, scores.T, strict=True):
        order = np.argsort(-score, kind="stable")
        last = np.flatnonzero(np.append(np.diff(score[order]), 1.0))  # ties come in together
        chosen = np.cumsum(weights[:, order], axis=1)[:, last]
        hits = np.cumsum(weights[:, order] * label[order], axis=1)[:, last]
        gains = np.diff(hits, axis=1, prepend=0)
        total += divide((divide(hits, chosen) * gains).sum(axis=1), hits[:, -1])
        occurs += hits[:, -1] > 0
    return divide(total, occurs)


METRIC = Metric(
    title="mean average precision",
    hub_type="mean_average_precision",
    forms=(Form(of=LabelSets, score=_score, weigh=_weigh),),
)
