"""Pearson correlation of predicted and right numbers; 0 where one of the two does not vary.

Source:
    scipy's `pearsonr`.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._counts import divide
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._numbers import Numbers


def of_numbers(found: Numbers) -> float:
    """Returns the correlation."""
    from scipy.stats import pearsonr

    return float(pearsonr(found.labels, found.predictions).statistic) if found.vary else 0.0


def weighted(weights: Floats, values: Floats) -> Floats:
    """Returns the correlation of two columns in each row of weights, (rows,)."""
    first, second = values.T
    return correlate(weights, np.broadcast_to(first, weights.shape), second)


def correlate(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Returns the correlation in each row; 0 where one of the two does not vary."""
    total = weights.sum(axis=1, keepdims=True)
    x = first - (weights * first).sum(axis=1, keepdims=True) / total
    y = second - (weights * second).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1))
    return divide((weights * x * y).sum(axis=1), spread)


METRIC = Metric(
    title="Pearson correlation",
    hub_type="pearsonr",
    forms=(Form(of=Numbers, score=of_numbers, weigh=lambda found: found.weigh(weighted)),),
)
