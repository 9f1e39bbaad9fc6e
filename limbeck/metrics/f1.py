"""F1 of label 1 of two, of whole entities, or of the words of an answer."""

from __future__ import annotations

import math

from limbeck.metrics._answers import Answers
from limbeck.metrics._classes import Classes
from limbeck.metrics._counts import Counts, f1_of_each, mean_of, micro_f1
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._tags import Tags


def of_second_label(found: Classes) -> float:
    """Returns F1 of label 1, 0 where it neither occurs nor is predicted.

    Source:
        scikit-learn's `f1_score`.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(found.labels, found.predictions, pos_label=1, zero_division=0))


def count_second_label(counts: Counts) -> Floats:
    """Returns F1 of label 1 in each row of counts."""
    of_class: Floats = f1_of_each(counts)[:, 1]
    return of_class


def _standard_error(found: Answers) -> float:
    """Source: that of a mean, s / sqrt(n)."""
    spread = float(found.f1.std(ddof=1)) if len(found.f1) > 1 else 0.0
    return spread / math.sqrt(len(found.f1))


METRIC = Metric(
    title="F1",
    hub_type="f1",
    forms=(
        Form(
            of=Classes,
            score=of_second_label,
            weigh=lambda found: found.count(count_second_label),
            num_labels=2,
        ),
        Form(
            of=Tags,
            score=lambda found: found.entities.f1,
            weigh=lambda found: found.count(micro_f1),
        ),
        Form(
            of=Answers,
            score=lambda found: float(found.f1.mean()),
            weigh=lambda found: mean_of(found.f1),
            standard_error=_standard_error,
        ),
    ),
)
