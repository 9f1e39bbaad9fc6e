"""What the models of a report predicted on the same examples, and their scores on resamples."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from limbeck.errors import DataError
from limbeck.report.runs import FinetuneRun, read_all_predictions
from limbeck.report.scoring import make_statistics
from limbeck.report.statistics import Paired, Resampled, Statistics, compare, resample
from limbeck.runs.predictions import find_difference

_TOLERANCE = 1e-6  # between a score written down and the same score from the predictions


class Scores(Protocol):
    """Whatever compares models by their labels: on one task, or on the average of several."""

    @property
    def split(self) -> str:
        """The split."""

    @property
    def metric(self) -> str:
        """The main metric."""

    @property
    def num_examples(self) -> int:
        """Examples that all models were scored on."""

    @property
    def has_intervals(self) -> bool:
        """Whether the metric can be resampled."""

    @property
    def is_binomial(self) -> bool:
        """Whether the score is a share of the examples, with the binomial standard error."""

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models; None if the metric can't be resampled."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What all models predicted on the same examples.

    Attributes:
        split: The split.
        metric: The task's main metric.
        num_examples: Examples of the split.
        predictions: Per model label and seed, each example's prediction as JSON text.
        resampled: Per model label, scores on resamples of the examples; empty if the metric has
            none.
        is_binomial: Whether the score is a share of the examples, with the binomial standard error.
    """

    split: str
    metric: str
    num_examples: int
    predictions: Mapping[str, Sequence[Sequence[str]]]
    resampled: Mapping[str, Resampled]
    is_binomial: bool

    @property
    def has_intervals(self) -> bool:
        """Whether the metric can be resampled."""
        return bool(self.resampled)

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models by their labels; None if the metric can't be resampled."""
        if not self.has_intervals:
            return None
        return compare([self.resampled[first]], [self.resampled[second]])

    def is_constant(self, label: str) -> bool:
        """Tells whether a model predicts the same for all examples, whatever its seed."""
        return all(len(set(row)) == 1 < len(row) for row in self.predictions[label])

    def agreement(self, first: str, second: str) -> float | None:
        """Returns on what share of the examples two models, or a model's seeds, predict the same.

        Every pair of seeds counts alike. None where nothing can be compared: one model of one
        seed, or predictions that are measured numbers.
        """
        rows, others = self.predictions[first], self.predictions[second]
        if first == second:
            pairs = list(itertools.combinations(rows, 2))
        else:
            pairs = list(itertools.product(rows, others))
        if not pairs or isinstance(json.loads(rows[0][0]), float):
            return None
        same = (sum(map(str.__eq__, one, other)) for one, other in pairs)
        return sum(same) / (len(pairs) * self.num_examples)


def read_scored(runs: Sequence[FinetuneRun], split: str, *, seed: int = 0) -> Scored:
    """Reads the predictions of all runs and resamples their scores.

    Args:
        runs: The runs; the first one's examples are what the others are held against.
        split: The split to read.
        seed: Of the resampling.

    Raises:
        DataError: If a run was scored on other examples, or its predictions don't give its score.
    """
    read = [read_all_predictions(run, split) for run in runs]
    for run, seeds in zip(runs, read, strict=True):
        problem = find_difference(seeds[0], read[0][0])
        if problem:
            raise DataError(
                f"{run.folder} and {runs[0].folder} were not scored on the same {split} examples: "
                f"{problem}; a paired comparison needs the same ones"
            )
    made = {
        run.label: [
            make_statistics(records, metric=run.result.metric, classes=run.result.labels)
            for records in seeds
        ]
        for run, seeds in zip(runs, read, strict=True)
    }
    known = {
        label: [found for found in seeds if found is not None] for label, seeds in made.items()
    }
    has_statistics = all(len(known[label]) == len(made[label]) for label in made)
    if has_statistics:
        for run in runs:
            _check_scores(run, known[run.label], split=split)
    return Scored(
        split=split,
        metric=runs[0].result.metric,
        num_examples=len(read[0][0]),
        predictions={
            run.label: [[json.dumps(r["prediction"]) for r in records] for records in seeds]
            for run, seeds in zip(runs, read, strict=True)
        },
        resampled=resample(known, seed=seed) if has_statistics else {},
        is_binomial=has_statistics
        and all(s.is_binomial for seeds in known.values() for s in seeds),
    )


def _check_scores(run: FinetuneRun, seeds: Sequence[Statistics], *, split: str) -> None:
    """Refuses a folder whose predictions and result are not of the same run."""
    for seed, found, written in zip(run.seeds, seeds, run.scores(split), strict=True):
        if abs(found.total - written) > _TOLERANCE:
            raise DataError(
                f"{seed.folder / 'predictions.jsonl'} gives {run.result.metric} "
                f"{found.total:.6f} on {split}, but result.json says {written:.6f}: the folder "
                "mixes two runs; run it again"
            )
