"""Spearman correlation: Pearson's of the ranks of predicted and right numbers.

Source:
    scipy's `spearmanr`.
"""

from __future__ import annotations

import numpy as np

from limbeck.metrics import pearson
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._numbers import Numbers


def of_numbers(found: Numbers) -> float:
    """Returns the correlation; 0 where one of the two does not vary."""
    from scipy.stats import spearmanr

    return float(spearmanr(found.labels, found.predictions).statistic) if found.vary else 0.0


def weighted(weights: Floats, values: Floats) -> Floats:
    """Returns the correlation of two columns in each row of weights, (rows,)."""
    first, second = (_weighted_ranks(weights, column) for column in values.T)
    return pearson.correlate(weights, first, second)


def _weighted_ranks(weights: Floats, values: Floats) -> Floats:
    """Returns ranks in the resample, ties sharing their mean rank, (rows, examples)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 1))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]
    return ranks


METRIC = Metric(
    title="Spearman correlation",
    hub_type="spearmanr",
    forms=(Form(of=Numbers, score=of_numbers, weigh=lambda found: found.weigh(weighted)),),
)
