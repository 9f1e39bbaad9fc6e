"""Macro F1: the mean over all labels of F1, so that rare ones count as much as frequent ones.

Source:
    scikit-learn's `f1_score`.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import macro_f1
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import Form, Metric


def _of_classes(found: Classes) -> float:
    from sklearn.metrics import f1_score

    known = list(range(found.num_labels))
    return float(
        f1_score(found.labels, found.predictions, labels=known, average="macro", zero_division=0)
    )


def _of_label_sets(found: LabelSets) -> float:
    from sklearn.metrics import f1_score

    # Column by column: scikit-learn takes a single column for a problem of two classes.
    columns = zip(found.labels.T, found.predictions.T, strict=True)
    return float(np.mean([f1_score(*column, zero_division=0) for column in columns]))


METRIC = Metric(
    title="macro F1",
    hub_type="macro_f1",
    forms=(
        Form(of=Classes, score=_of_classes, weigh=lambda found: found.count(macro_f1)),
        Form(of=LabelSets, score=_of_label_sets, weigh=lambda found: found.count(macro_f1)),
    ),
)
