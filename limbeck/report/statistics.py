"""What a score, a ratio and a difference are worth on the examples and seeds at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from limbeck.errors import DataError

Floats = npt.NDArray[np.float64]

Key = TypeVar("Key", bound=Hashable)

RESAMPLES = 4000

MIN_DISCORDANT = 6
"""Fewest examples on which two models must differ before a difference is claimed.

With 5, even if all speak for one model, the exact two-sided sign test gives 2 / 2^5 = 0.06; the
bootstrap is too confident there.
"""

_MAX_WEIGHTS = 8_000_000  # of resampled examples at a time: 64 MB


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One set of predictions as the numbers that its score follows from, however examples count.

    Attributes:
        values: What the score needs of each example, (examples, width).
        score: Takes how often each example counts, (rows, examples), and their values; returns the
            score of each row, (rows,).
        quality: How good each prediction is, (examples,); only tells where two models differ.
        is_binomial: Whether the score is a share of the examples, with the binomial standard error.
    """

    values: Floats
    score: Callable[[Floats, Floats], Floats]
    quality: Floats
    is_binomial: bool = False

    @property
    def total(self) -> float:
        """The score on the examples as they are."""
        return float(self.score(np.ones((1, len(self.values))), self.values)[0])


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A model's scores on the examples as they are and on resamples of them.

    Attributes:
        scores: Of each seed, (seeds, 1 + resamples); column 0 is of the examples as they are.
        quality: Mean over seeds of the quality of each prediction, (examples,).
    """

    scores: Floats
    quality: Floats

    @property
    def standard_error(self) -> float:
        """Standard error over examples of the seeds' mean."""
        return float(np.std(self.scores[:, 1:].mean(axis=0), ddof=1))


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

    def is_all(self, value: float) -> bool:
        """Tells whether every resample gave the same: 0 of a difference, 1 of a ratio.

        Two models then differ on no example. The bootstrap draws from what was seen; that nothing
        differed does not tell that nothing can, and such an interval is not shown.
        """
        return self.low == self.estimate == self.high == value


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same examples.

    Attributes:
        difference: Score of the first minus score of the second.
        ratio: Score of the first over that of the second; None if the second is not above 0. Its
            interval is over the resamples in which the second is.
        positive_ratio: Share of the resamples in which the second model's score is above 0.
        num_discordant: Examples on which one model is better, over its seeds, than the other.
    """

    difference: Interval
    ratio: Interval | None
    positive_ratio: float
    num_discordant: int

    @property
    def retention(self) -> Interval | None:
        """The ratio; None if the second model's score may be 0, so that the ratio has no bound.

        Source: Fieller, Some problems in interval estimation, 1954: the interval of a ratio is
        bounded only if that of its denominator leaves out 0.
        """
        if self.ratio is None or self.positive_ratio <= (1 + self.ratio.level) / 2:
            return None
        return self.ratio

    @property
    def is_ahead(self) -> bool:
        """Whether the data show that the first is better."""
        return self.is_distinguishable and self.difference.estimate > 0

    @property
    def is_distinguishable(self) -> bool:
        """Whether the data tell the two apart: 0 is outside the interval of the difference."""
        outside = self.difference.low > 0 or self.difference.high < 0
        return outside and self.num_discordant >= MIN_DISCORDANT


def resample(
    models: Mapping[Key, Sequence[Statistics]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[Key, Resampled]:
    """Scores all models on the same resamples of their common examples.

    The outcome does not depend on the order of the examples: those of which all models' values are
    the same are drawn as one cell of a multinomial.

    Args:
        models: Per label, or whatever names a model, the statistics of each seed.
        resamples: Number of resamples.
        seed: Of the resampling.

    Raises:
        DataError: If there is no example, or not the same number for all.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    every = [statistics for seeds in models.values() for statistics in seeds]
    num_examples = len(every[0].values)
    for label, seeds in models.items():
        for statistics in seeds:
            if len(statistics.values) != num_examples or not num_examples:
                raise DataError(
                    f"'{label}' has predictions for {len(statistics.values)} examples, the first "
                    f"model for {num_examples}: expected as many for all, and at least 1"
                )
    columns = np.hstack([statistics.values for statistics in every])
    cells, sizes = np.unique(columns, axis=0, return_counts=True)
    ends = np.cumsum([statistics.values.shape[1] for statistics in every])[:-1]
    parts = np.split(cells, ends, axis=1)
    rng = np.random.default_rng(seed)
    scores = [
        np.stack([s.score(weights, part) for s, part in zip(every, parts, strict=True)])
        for weights in _weights(sizes, resamples=resamples, rng=rng)
    ]
    rows = iter(np.concatenate(scores, axis=1))
    return {
        label: Resampled(
            scores=np.stack([next(rows) for _ in seeds]),
            quality=np.mean([statistics.quality for statistics in seeds], axis=0),
        )
        for label, seeds in models.items()
    }


def compare(
    first: Sequence[Resampled], second: Sequence[Resampled], *, level: float = 0.95, seed: int = 0
) -> Paired:
    """Compares two models by a paired bootstrap of the mean of their scores over tasks.

    Each resample draws each task's examples, the same for both models, and of each model's k seeds
    k - 1 (one if there is only one), which makes the variance of the mean over seeds unbiased.

    Args:
        first: The first model on each task; a single one for a comparison on that task.
        second: The second model on the same tasks; the numbers of seeds may differ.
        level: Share of resamples inside the intervals.
        seed: Of the drawing of seeds.

    Source: Efron and Tibshirani 1993, chapter 13 (percentile interval); Rao and Wu 1988 (k - 1
    draws).
    """
    rng = np.random.default_rng((seed, 1))
    samples = [
        np.mean([_mean_over_seeds(task.scores, rng=rng) for task in tasks], axis=0)
        for tasks in (first, second)
    ]
    ratio, positive = None, samples[1] > 0
    if positive[0]:
        # A resample in which the reference scores 0 has no ratio.
        ratio = _interval(samples[0][positive] / samples[1][positive], level=level)
    return Paired(
        difference=_interval(samples[0] - samples[1], level=level),
        ratio=ratio,
        positive_ratio=float(np.mean(positive)),
        num_discordant=sum(
            int(np.sum(~np.isclose(a.quality, b.quality)))
            for a, b in zip(first, second, strict=True)
        ),
    )


def bound_unseen(num_examples: int) -> float:
    """Returns the share that something may have that no example showed, with 95 % confidence.

    Source: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, 1983: the
    rule of three.

    Example:
        >>> bound_unseen(48), bound_unseen(2)
        (0.0625, 1.0)
    """
    return min(3 / num_examples, 1.0)


def binomial_error(share: float, num_examples: int) -> float:
    """Returns the binomial standard error of a share of so many examples.

    Source: sqrt(p (1 - p) / n).

    Example:
        >>> round(binomial_error(0.9, 1000), 4)
        0.0095
    """
    return math.sqrt(max(share * (1 - share), 0.0) / num_examples)


def _weights(
    sizes: npt.NDArray[np.int64], *, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Yields how often each cell counts: as it is first, then in some resamples at a time."""
    yield sizes[None].astype(np.float64)
    num_examples, step = int(sizes.sum()), max(1, _MAX_WEIGHTS // len(sizes))
    for done in range(0, resamples, step):
        drawn = rng.multinomial(
            num_examples, sizes / num_examples, size=min(step, resamples - done)
        )
        yield drawn.astype(np.float64)


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
