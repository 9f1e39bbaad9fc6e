"""MRR at 10: the mean over queries of 1 / rank of the first relevant document among ten."""

from __future__ import annotations

from limbeck.metrics._counts import mean_of
from limbeck.metrics._metric import Form, Metric
from limbeck.metrics._rankings import Rankings

METRIC = Metric(
    title="MRR@10",
    hub_type="mrr_at_10",
    forms=(
        Form(
            of=Rankings,
            score=lambda found: float(found.reciprocal_rank(10).mean()),
            weigh=lambda found: mean_of(found.reciprocal_rank(10)),
        ),
    ),
)
