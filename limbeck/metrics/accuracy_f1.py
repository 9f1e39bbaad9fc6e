"""Mean of accuracy and F1 of label 1 of two.

Source:
    Wang et al., "GLUE", ICLR 2019, which scores MRPC and QQP by it.
"""

from __future__ import annotations

from limbeck.metrics import accuracy, f1
from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import Counts
from limbeck.metrics._counts import accuracy as count_accuracy
from limbeck.metrics._metric import Floats, Form, Metric


def _score(found: Classes) -> float:
    return (accuracy.of_classes(found) + f1.of_second_label(found)) / 2


def _count(counts: Counts) -> Floats:
    mean: Floats = (count_accuracy(counts) + f1.count_second_label(counts)) / 2
    return mean


METRIC = Metric(
    title="mean of accuracy and F1",
    short_title="accuracy and F1",
    hub_type="accuracy_f1",
    forms=(Form(of=Classes, score=_score, weigh=lambda found: found.count(_count), num_labels=2),),
)
