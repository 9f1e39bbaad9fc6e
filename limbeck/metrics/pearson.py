"""Pearson correlation of predicted and right numbers; 0 where one of the two does not vary.

Source:
    scipy's `pearsonr`.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics._counts import divide
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._numbers import Numbers

_CANCELLED = 1e-3
"""Share of the mean square that must be left as variance, or it is computed again from differences.

The error of the fast way is that of a number, 2e-16, divided by this share."""


def of_numbers(found: Numbers) -> float:
    """Returns the correlation."""
    from scipy.stats import pearsonr

    return float(pearsonr(found.labels, found.predictions).statistic) if found.vary else 0.0


def weighted(weights: Floats, values: Floats) -> Floats:
    """Returns the correlation of two columns in each row of weights, (rows,).

    Five weighted sums give it for all rows at once, by one product of matrices. Where the columns
    hardly vary in a row, as in a resample that is nearly all one example, too little of these sums
    is left: such rows are computed from differences to their own mean.
    """
    x, y = values.T
    powers = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    total, sum_x, sum_y, sum_xx, sum_yy, sum_xy = (weights @ powers).T
    variances = sum_xx - sum_x**2 / total, sum_yy - sum_y**2 / total
    covariance = sum_xy - sum_x * sum_y / total
    correlation = divide(covariance, np.sqrt(np.maximum(variances[0] * variances[1], 0)))
    hardly = (variances[0] < _CANCELLED * sum_xx) | (variances[1] < _CANCELLED * sum_yy)
    if hardly.any():
        correlation[hardly] = _from_differences(weights[hardly], values)
    return correlation


def _from_differences(weights: Floats, values: Floats) -> Floats:
    """Returns the same, without cancelling; exactly 0 where a column does not vary in a row."""
    total = weights.sum(axis=1, keepdims=True)
    differences, varies = [], np.ones(len(weights), dtype=bool)
    for column in values.T:
        counted = np.where(weights > 0, column, np.nan)
        varies &= np.nanmax(counted, axis=1) > np.nanmin(counted, axis=1)
        differences.append(column - (weights * column).sum(axis=1, keepdims=True) / total)
    x, y = differences
    spread = np.sqrt((weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1))
    return divide((weights * x * y).sum(axis=1), np.where(varies, spread, 0.0))


METRIC = Metric(
    title="Pearson correlation",
    hub_type="pearsonr",
    constants_are_equal=True,
    forms=(Form(of=Numbers, score=of_numbers, weigh=lambda found: found.weigh(weighted)),),
)
