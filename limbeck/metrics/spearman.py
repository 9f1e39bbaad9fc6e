"""Spearman correlation: Pearson's of the ranks of predicted and right numbers.

Source:
    scipy's `spearmanr`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.metrics._counts import divide
from limbeck.metrics._metric import Floats, Form, Metric
from limbeck.metrics._numbers import Numbers

_MOST_WEIGHTS = 400_000  # at a time, 3 MB: what a processor's cache holds


def of_numbers(found: Numbers) -> float:
    """Returns the correlation; 0 where one of the two does not vary."""
    from scipy.stats import spearmanr

    return float(spearmanr(found.labels, found.predictions).statistic) if found.vary else 0.0


class _Groups(NamedTuple):
    """A column's equal values, which share a rank.

    Attributes:
        order: Examples by their value.
        starts: Where in that order each group begins.
        of_example: Each example's group.
    """

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    of_example: npt.NDArray[np.intp]


def weighted(weights: Floats, values: Floats) -> Floats:
    """Returns the correlation of two columns in each row of weights, (rows,).

    Ranks and what is summed of them are halves of whole numbers, so that a column that does not
    vary in a row has a variance of exactly 0.
    """
    columns = [_find_groups(column) for column in values.T]
    step = max(1, _MOST_WEIGHTS // len(values))
    parts = [weights[i : i + step] for i in range(0, len(weights), step)]
    return np.concatenate([_correlate(np.ascontiguousarray(part.T), *columns) for part in parts])


def _find_groups(column: Floats) -> _Groups:
    _, group = np.unique(column, return_inverse=True)
    order = np.argsort(group, kind="stable")
    return _Groups(order, np.searchsorted(group[order], np.arange(group.max() + 1)), group)


def _correlate(weights: Floats, first: _Groups, second: _Groups) -> Floats:
    """Correlates ranks.

    Shape:
        weights: (examples, rows), so that what is sorted and summed along lies apart in memory.
    """
    total = weights.sum(axis=0)
    mean = (total + 1) / 2  # of the ranks, however they are tied
    ranks, variances = [], []
    for groups in (first, second):
        sizes = np.add.reduceat(weights[groups.order], groups.starts, axis=0)
        rank = np.cumsum(sizes, axis=0)
        rank -= (sizes - 1) / 2  # the mean rank of those that are tied
        rank -= mean
        ranks.append(rank[groups.of_example])
        variances.append(np.einsum("gr,gr,gr->r", sizes, rank, rank))
    covariance = np.einsum("er,er,er->r", weights, *ranks)
    return divide(covariance, np.sqrt(variances[0] * variances[1]))


METRIC = Metric(
    title="Spearman correlation",
    hub_type="spearmanr",
    constants_are_equal=True,
    forms=(Form(of=Numbers, score=of_numbers, weigh=lambda found: found.weigh(weighted)),),
)
