"""Precision: the share of predicted entities that are right as a whole."""

from __future__ import annotations

from limbeck.metrics._counts import Counts, divide
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._tags import Tags


def _count(counts: Counts) -> Floats:
    share: Floats = divide(counts.hits, counts.predicted)[:, 0]
    return share


METRIC = Metric(
    title="precision",
    hub_type="precision",
    forms=(
        Form(
            of=Tags,
            score=lambda found: found.entities.precision,
            weigh=lambda found: found.count(_count),
        ),
    ),
)
