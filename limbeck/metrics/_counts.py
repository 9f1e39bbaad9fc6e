"""Hits, labels and predictions of each class: what accuracies and F1 follow from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limbeck.metrics._metric import Floats, Weighted


@dataclass(frozen=True)
class Counts:
    """How often classes are right, occur and are predicted, in each resample.

    Shape:
        hits, actual, predicted: (rows, classes).
    """

    hits: Floats
    actual: Floats
    predicted: Floats


CountScore = Callable[[Counts], Floats]
"""Returns the score of each row of counts."""


def divide(top: Floats, bottom: Floats) -> Floats:
    """Returns top / bottom, and 0 where bottom is 0, as scikit-learn has it."""
    quotient: Floats = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return quotient


def f1_of_each(counts: Counts) -> Floats:
    """Returns F1 of each class, (rows, classes)."""
    return divide(2 * counts.hits, counts.actual + counts.predicted)


def micro_f1(counts: Counts) -> Floats:
    """Returns F1 over the decisions on all classes."""
    actual, predicted = counts.actual.sum(axis=1), counts.predicted.sum(axis=1)
    return divide(2 * counts.hits.sum(axis=1), actual + predicted)


def macro_f1(counts: Counts) -> Floats:
    """Returns the mean over classes of F1."""
    mean: Floats = f1_of_each(counts).mean(axis=1)
    return mean


def accuracy(counts: Counts) -> Floats:
    """Returns the share of examples that are right, where each has one class."""
    share: Floats = counts.hits.sum(axis=1) / counts.actual.sum(axis=1)
    return share


def score_summed(weights: Floats, values: Floats, *, score: CountScore) -> Floats:
    """Scores examples that each have hits, labels and predictions, one beside the other."""
    return score(Counts(*np.split(weights @ values, 3, axis=1)))


def mean_of(values: Floats) -> Weighted:
    """Returns the mean of a number that each example has, (examples,)."""
    return Weighted(values=values[:, None], score=_weighted_mean, quality=values)


def _weighted_mean(weights: Floats, values: Floats) -> Floats:
    mean: Floats = weights @ values[:, 0] / weights.sum(axis=1)
    return mean
