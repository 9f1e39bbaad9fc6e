"""Exact match: the share of examples whose set of labels, or whose answer, is wholly right."""

from __future__ import annotations

from limbeck.metrics._answers import Answers
from limbeck.metrics._counts import mean_of
from limbeck.metrics._label_sets import LabelSets
from limbeck.metrics._metric import Form, Metric

METRIC = Metric(
    title="exact match",
    hub_type="exact_match",
    forms=(
        Form(
            of=LabelSets,
            score=lambda found: float(found.is_right.mean()),
            weigh=lambda found: mean_of(found.is_right),
        ),
        Form(
            of=Answers,
            score=lambda found: float(found.exact_match.mean()),
            weigh=lambda found: mean_of(found.exact_match),
        ),
    ),
)
