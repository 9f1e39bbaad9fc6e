"""Micro F1: F1 over all decisions whether an example has a label.

Source:
    scikit-learn's `f1_score`.
"""

from __future__ import annotations

from limbeck.metrics._counts import micro_f1
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import Form, Metric


def _score(found: LabelSets) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(found.labels.ravel(), found.predictions.ravel(), zero_division=0))


METRIC = Metric(
    title="micro F1",
    hub_type="micro_f1",
    forms=(Form(of=LabelSets, score=_score, weigh=lambda found: found.count(micro_f1)),),
)
