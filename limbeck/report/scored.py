"""What the models of a report predicted on the same examples, and their scores on resamples."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from limbeck.errors import DataError
from limbeck.report.facts import ConstantFacts, LabelFacts
from limbeck.report.runs import FinetuneRun, read_all_predictions
from limbeck.report.scoring import (
    find_decisions,
    find_favourite,
    judge_constant,
    make_statistics,
    score_labels,
)
from limbeck.report.statistics import Paired, Resampled, Statistics, compare, resample
from limbeck.runs.predictions import find_difference
from limbeck.tasks import Record

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

    @property
    def constant(self) -> ConstantFacts | None:
        """The best that one answer to every example reaches; None if no interval is known of it."""

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models; None if the metric can't be resampled."""

    def compare_to_constant(self, label: str) -> Paired | None:
        """Compares a model with `constant`; None where there is none."""


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
        favourites: Per label of a model that predicts nearly always the same, what, and how often.
        labels: F1 of every model on each label, where predictions are of labels.
        constant: The best that one answer to every example reaches; None if the metric has no
            resamples.
        resampled_constant: That on the same resamples.
    """

    split: str
    metric: str
    num_examples: int
    predictions: Mapping[str, Sequence[Sequence[str]]]
    resampled: Mapping[str, Resampled]
    is_binomial: bool
    favourites: Mapping[str, str]
    labels: tuple[LabelFacts, ...]
    constant: ConstantFacts | None
    resampled_constant: Resampled | None

    @property
    def has_intervals(self) -> bool:
        """Whether the metric can be resampled."""
        return bool(self.resampled)

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models by their labels; None if the metric can't be resampled."""
        if not self.has_intervals:
            return None
        return compare([self.resampled[first]], [self.resampled[second]])

    def compare_to_constant(self, label: str) -> Paired | None:
        """Compares a model with the best constant answer; None if the metric has no resamples."""
        if self.resampled_constant is None:
            return None
        return compare([self.resampled[label]], [self.resampled_constant])

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
    metric, classes = runs[0].result.metric, runs[0].result.labels
    made = {
        run.label: [
            make_statistics(records, metric=metric, classes=run.result.labels) for records in seeds
        ]
        for run, seeds in zip(runs, read, strict=True)
    }
    known: dict[str | None, list[Statistics]] = {
        label: [found for found in seeds if found is not None] for label, seeds in made.items()
    }
    constant = judge_constant(read[0][0], metric=metric, classes=classes)
    resampled: dict[str | None, Resampled] = {}
    if constant is not None and all(len(known[label]) == len(made[label]) for label in made):
        for run in runs:
            _check_scores(run, known[run.label], split=split)
        resampled = resample({**known, None: [constant[1]]}, seed=seed)
    favourites = {
        run.label: _find_favourite(run, seeds, metric=metric)
        for run, seeds in zip(runs, read, strict=True)
    }
    return Scored(
        split=split,
        metric=metric,
        num_examples=len(read[0][0]),
        predictions={
            run.label: [find_decisions(records, metric=metric) for records in seeds]
            for run, seeds in zip(runs, read, strict=True)
        },
        resampled={label: found for label, found in resampled.items() if label is not None},
        is_binomial=bool(resampled)
        and all(s.is_binomial for seeds in known.values() for s in seeds),
        favourites={label: found for label, found in favourites.items() if found is not None},
        labels=_join_labels(runs, read),
        constant=ConstantFacts(answer=constant[0].answer, score=constant[0].score)
        if constant is not None and resampled
        else None,
        resampled_constant=resampled.get(None),
    )


def _join_labels(
    runs: Sequence[FinetuneRun], read: Sequence[Sequence[Sequence[Record]]]
) -> tuple[LabelFacts, ...]:
    """Returns every model's F1 on each label, the mean over its seeds."""
    found = {
        run.label: [
            score_labels(records, metric=run.result.metric, classes=run.result.labels)
            for records in seeds
        ]
        for run, seeds in zip(runs, read, strict=True)
    }
    first = found[runs[0].label][0]
    return tuple(
        LabelFacts(
            name=name,
            support=round(figures["support"]),
            f1={
                label: fmean(scores.get(name, {"f1": 0.0})["f1"] for scores in seeds)
                for label, seeds in found.items()
            },
        )
        for name, figures in first.items()
        if figures["support"] > 0
    )


def _find_favourite(
    run: FinetuneRun, seeds: Sequence[Sequence[Record]], *, metric: str
) -> str | None:
    """Returns what a run's model predicts nearly always; of several seeds, of the first that does.

    A seed that does so is named, unless all do.
    """
    classes = run.result.labels
    found = [find_favourite(records, metric=metric, classes=classes) for records in seeds]
    which = next((i for i, favourite in enumerate(found) if favourite is not None), None)
    if which is None:
        return None
    return f"{found[which]}" + ("" if all(found) else f" with seed {run.seeds[which].seed}")


def _check_scores(run: FinetuneRun, seeds: Sequence[Statistics], *, split: str) -> None:
    """Refuses a folder whose predictions and result are not of the same run."""
    for seed, found, written in zip(run.seeds, seeds, run.scores(split), strict=True):
        if abs(found.total - written) > _TOLERANCE:
            raise DataError(
                f"{seed.folder / 'predictions.jsonl'} gives {run.result.metric} "
                f"{found.total:.6f} on {split}, but result.json says {written:.6f}: the folder "
                "mixes two runs; run it again"
            )
