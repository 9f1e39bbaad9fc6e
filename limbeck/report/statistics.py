"""What a score, a ratio and a difference are worth on the examples and seeds at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.errors import DataError, SettingsError, did_you_mean

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

METRICS = ("accuracy", "f1", "macro_f1", "matthews_correlation")
"""Metrics that can be resampled: those that follow from the counts per class."""

MIN_DISCORDANT = 6
"""Fewest examples on which two models must differ before a difference is claimed.

With 5, even if all speak for one model, the exact two-sided sign test gives 2 / 2^5 = 0.06; the
bootstrap is too confident there.
"""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its bootstrap interval.

    Attributes:
        estimate: From the data as they are.
        low: Lower end of the interval.
        high: Upper end.
        level: Share of resamples inside.
    """

    estimate: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same examples.

    Attributes:
        difference: Score of the first minus score of the second.
        ratio: Score of the first over that of the second; None if the second is not above 0.
        num_discordant: Examples that one model gets right more often, over its seeds, than the
            other.
    """

    difference: Interval
    ratio: Interval | None
    num_discordant: int

    @property
    def is_distinguishable(self) -> bool:
        """Whether the data tell the two apart: 0 is outside the interval of the difference."""
        outside = self.difference.low > 0 or self.difference.high < 0
        return outside and self.num_discordant >= MIN_DISCORDANT


def score(labels: Ids, predictions: Ids, *, metric: str, num_classes: int | None = None) -> float:
    """Returns a metric of one set of predictions.

    Args:
        labels: True classes, (examples,).
        predictions: Predicted classes, (examples,).
        metric: One of `METRICS`. `f1` is that of class 1.
        num_classes: Classes that exist, over which `macro_f1` is a mean; those that occur if None.
    """
    counts = np.ones((1, len(labels)))
    known = num_classes or _count_classes(labels, predictions)
    return float(_scores(counts, labels, predictions, metric=metric, num_classes=known)[0])


def standard_error(share: float, num_examples: int) -> float:
    """Returns the binomial standard error of an accuracy on a test set of this size.

    Source: sqrt(p (1 - p) / n).

    Example:
        >>> round(standard_error(0.9, 1000), 4)
        0.0095
    """
    return math.sqrt(max(share * (1 - share), 0.0) / num_examples)


def agreement(first: Ids, second: Ids) -> float:
    """Returns on what share of the examples two models predict the same class.

    Args:
        first: Predictions of one model, (seeds, examples).
        second: Predictions of the other, (seeds, examples); every pair of seeds counts alike.
    """
    return float(np.mean(first[:, None, :] == second[None, :, :]))


def agreement_between_seeds(predictions: Ids) -> float | None:
    """Returns on what share of the examples two seeds of one model agree; None for one seed."""
    num_seeds = len(predictions)
    if num_seeds < 2:
        return None
    pairs = [np.mean(predictions[i] == predictions[j]) for i in range(num_seeds) for j in range(i)]
    return float(np.mean(pairs))


def compare(
    labels: Ids,
    first: Ids,
    second: Ids,
    *,
    metric: str = "accuracy",
    num_classes: int | None = None,
    resamples: int = 4000,
    level: float = 0.95,
    seed: int = 0,
) -> Paired:
    """Compares two models on the same test examples by a paired bootstrap.

    Each resample draws test examples, the same for both models, and of each model's k seeds k - 1
    (one if there is only one), which makes the variance of the mean over seeds unbiased. Scores are
    means over seeds. The outcome does not depend on the order of the examples: examples with the
    same label and the same predictions are drawn as one cell of a multinomial.

    Args:
        labels: True classes, (examples,).
        first: Predictions of the first model, (seeds, examples).
        second: Predictions of the second, (seeds, examples); the numbers of seeds may differ.
        metric: One of `METRICS`.
        num_classes: Classes that exist; those that occur if None.
        resamples: Number of resamples.
        level: Share of resamples inside the intervals.
        seed: Of the resampling.

    Raises:
        DataError: If there is no example, or the predictions are not as many as the labels.
        SettingsError: If the metric can't be resampled.

    Source: Efron and Tibshirani 1993, chapter 13 (percentile interval); Rao and Wu 1988 (k - 1
    draws).
    """
    for name, predictions in (("first", first), ("second", second)):
        if predictions.ndim != 2 or predictions.shape[1] != len(labels) or not len(labels):
            raise DataError(
                f"the {name} model has predictions of shape {predictions.shape}, but there are "
                f"{len(labels)} labels: expected (seeds, {len(labels)}), with at least 1 example"
            )
    cells, sizes = np.unique(np.vstack([labels, first, second]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(labels), sizes / sizes.sum(), size=resamples).astype(np.float64)
    counts = np.vstack([sizes.astype(np.float64), drawn])  # row 0: the data as they are
    known = num_classes or _count_classes(labels, first, second)
    samples = []
    for rows in np.split(cells[1:], [len(first)]):
        scores = [_scores(counts, cells[0], r, metric=metric, num_classes=known) for r in rows]
        samples.append(_mean_over_seeds(np.stack(scores), rng=rng))
    difference = samples[0] - samples[1]
    ratio = None
    if samples[1][0] > 0:
        positive = samples[1] > 0  # a resample in which the reference scores 0 has no ratio
        ratio = _interval(samples[0][positive] / samples[1][positive], level=level)
    right = [np.mean(rows == labels, axis=0) for rows in (first, second)]
    return Paired(
        difference=_interval(difference, level=level),
        ratio=ratio,
        num_discordant=int(np.sum(~np.isclose(right[0], right[1]))),
    )


def resampling_error(
    labels: Ids,
    predictions: Ids,
    *,
    metric: str,
    num_classes: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> float:
    """Returns the standard error of a metric over test examples, by bootstrap.

    Args:
        labels: True classes, (examples,).
        predictions: Predicted classes, (seeds, examples); the error is that of the seeds' mean.
        metric: One of `METRICS`.
        num_classes: Classes that exist; those that occur if None.
        resamples: Number of resamples.
        seed: Of the resampling.
    """
    known = num_classes or _count_classes(labels, predictions)
    cells, sizes = np.unique(np.vstack([labels, predictions]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(labels), sizes / sizes.sum(), size=resamples).astype(np.float64)
    scores = [_scores(counts, cells[0], r, metric=metric, num_classes=known) for r in cells[1:]]
    means = np.mean(scores, axis=0)
    return float(np.std(means, ddof=1))


def _mean_over_seeds(scores: Floats, *, rng: np.random.Generator) -> Floats:
    """Returns the mean over seeds of each resample; all seeds in the first, else drawn anew.

    Shape:
        scores: (seeds, resamples)
        result: (resamples,)
    """
    num_seeds, num_rows = scores.shape
    drawn = rng.integers(num_seeds, size=(max(1, num_seeds - 1), num_rows))
    means: Floats = np.take_along_axis(scores, drawn, axis=0).mean(axis=0)
    means[0] = scores[:, 0].mean()
    return means


def _count_classes(*columns: Ids) -> int:
    return 1 + max(int(column.max()) for column in columns)


def _scores(
    counts: Floats, labels: Ids, predictions: Ids, *, metric: str, num_classes: int
) -> Floats:
    """Returns the metric for each weighting of the examples.

    Args:
        counts: How often each example counts, (rows, examples).
        labels: True classes, (examples,).
        predictions: Predicted classes, (examples,).
        metric: One of `METRICS`.
        num_classes: Classes that exist.
    """
    if metric not in METRICS:
        raise SettingsError(
            f"metric '{metric}' has no bootstrap interval; accepted: {', '.join(METRICS)}."
            + did_you_mean(metric, METRICS)
        )
    total = counts.sum(axis=1)
    if metric == "accuracy":
        accuracy: Floats = counts @ (labels == predictions).astype(np.float64) / total
        return accuracy
    classes = np.arange(num_classes)
    is_label = (labels[:, None] == classes).astype(np.float64)
    is_predicted = (predictions[:, None] == classes).astype(np.float64)
    actual, predicted = counts @ is_label, counts @ is_predicted
    hits = counts @ (is_label * is_predicted)
    if metric == "matthews_correlation":
        covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
        spread = (total**2 - (actual**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
        return _divide(covariance, np.sqrt(np.maximum(spread, 0.0)))
    per_class = _divide(2 * hits, actual + predicted)
    if metric == "macro_f1":
        macro: Floats = per_class.mean(axis=1)
        return macro
    positive: Floats = per_class[:, 1:2].sum(axis=1)
    return positive


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Returns top / bottom, and 0 where bottom is 0, as scikit-learn has it."""
    quotient: Floats = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return quotient


def _interval(samples: Floats, *, level: float) -> Interval:
    """Returns the percentile interval; `samples[0]` is the estimate and always inside."""
    tail = (1 - level) / 2
    low, high = np.quantile(samples[1:] if len(samples) > 1 else samples, [tail, 1 - tail])
    estimate = float(samples[0])
    return Interval(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        level=level,
    )


def encode_classes(columns: Sequence[Any], *, names: Sequence[Any] = ()) -> list[Ids]:
    """Returns the columns with each distinct value replaced by one integer, the same in all.

    Args:
        columns: Arrays of labels or predictions of any shape: strings or integers.
        names: All classes in the task's order, which becomes theirs; values that are not among
            them, or all where there are none, come after in sorted order.

    Example:
        >>> encode_classes([np.array(["no", "yes"]), np.array(["yes", "yes"])], names=["yes", "no"])
        [array([1, 0]), array([0, 0])]
    """
    found = {value for column in columns for value in np.unique(column).tolist()}
    order = [*names, *sorted(found - set(names))]
    ids = {value: number for number, value in enumerate(order)}
    encoded = []
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        numbers = np.array([ids[value] for value in values.tolist()], dtype=np.int64)
        encoded.append(numbers[inverse].reshape(np.shape(column)))
    return encoded
