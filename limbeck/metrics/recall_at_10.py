"""Recall at 10: the share of a query's relevant documents that is among the first ten."""

from __future__ import annotations

from limbeck.metrics._counts import mean_of
from limbeck.metrics._metric import Form, Metric
from limbeck.metrics._rankings import Rankings

METRIC = Metric(
    title="recall@10",
    hub_type="recall_at_10",
    forms=(
        Form(
            of=Rankings,
            score=lambda found: float(found.recall(10).mean()),
            weigh=lambda found: mean_of(found.recall(10)),
        ),
    ),
)
