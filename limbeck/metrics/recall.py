"""Recall: the share of right entities that are predicted as a whole."""

from __future__ import annotations

from limbeck.metrics._counts import Counts, divide
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._tags import Tags


def _count(counts: Counts) -> Floats:
    share: Floats = divide(counts.hits, counts.actual)[:, 0]
    return share


METRIC = Metric(
    title="recall",
    hub_type="recall",
    forms=(
        Form(
            of=Tags,
            score=lambda found: found.entities.recall,
            weigh=lambda found: found.count(_count),
        ),
    ),
)
