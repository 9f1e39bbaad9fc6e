"""nDCG at 10: how far up relevant documents stand, by their relevance, against the best order."""

from __future__ import annotations

from limbeck.metrics._counts import mean_of
from limbeck.metrics._metric import Form, Metric
from limbeck.metrics._rankings import Rankings

METRIC = Metric(
    title="nDCG@10",
    hub_type="ndcg_at_10",
    forms=(
        Form(
            of=Rankings,
            score=lambda found: float(found.ndcg(10).mean()),
            weigh=lambda found: mean_of(found.ndcg(10)),
        ),
    ),
)
