"""Mean of Pearson and Spearman correlation.

Source:
    Wang et al., "GLUE", ICLR 2019, which scores STS-B by it.
"""

from __future__ import annotations

from limbeck.metrics import pearson, spearman
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._numbers import Numbers


def _score(found: Numbers) -> float:
    return (pearson.of_numbers(found) + spearman.of_numbers(found)) / 2


def _weighted(weights: Floats, values: Floats) -> Floats:
    mean: Floats = (pearson.weighted(weights, values) + spearman.weighted(weights, values)) / 2
    return mean


METRIC = Metric(
    title="mean of Pearson and Spearman correlation",
    short_title="Pearson and Spearman",
    hub_type="pearson_spearman",
    constants_are_equal=True,
    forms=(Form(of=Numbers, score=_score, weigh=lambda found: found.weigh(_weighted)),),
)
