"""Balanced accuracy: the mean over labels of the share found, so that rare ones count as much.

Source:
    Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010, which
    scikit-learn's `balanced_accuracy_score` extends to more than two labels.
"""

from __future__ import annotations

import warnings

from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import Counts, divide
from limbeck.metrics._metric import Floats, Form, Metric


def _score(found: Classes) -> float:
    from sklearn.metrics import balanced_accuracy_score

    with warnings.catch_warnings():
        # Labels that are predicted but do not occur are left out, which is what is wanted.
        warnings.filterwarnings("ignore", message=".*classes not in y_true|A single label")
        return float(balanced_accuracy_score(found.labels, found.predictions))


def _count(counts: Counts) -> Floats:
    num_labels: Floats = (counts.actual > 0).sum(axis=1)
    mean: Floats = divide(counts.hits, counts.actual).sum(axis=1) / num_labels
    return mean


METRIC = Metric(
    title="balanced accuracy",
    hub_type="balanced_accuracy",
    constants_are_equal=True,
    forms=(Form(of=Classes, score=_score, weigh=lambda found: found.count(_count)),),
)
