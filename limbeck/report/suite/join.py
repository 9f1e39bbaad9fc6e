"""Brings the runs of a suite together: each task by itself, then the average over tasks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from limbeck.inference.speed import Speed
from limbeck.report.facts import ConstantFacts, ModelFacts, SeedScores
from limbeck.report.join import hold_against_teacher, join_comparisons, join_models, order_runs
from limbeck.report.runs import FinetuneRun
from limbeck.report.scored import Scored, read_scored
from limbeck.report.statistics import Paired, compare
from limbeck.report.suite.facts import TaskFacts

_MOST_REASONS = 2
"""Tasks that a sentence names; more are counted, since a headline is to be read."""


@dataclass(frozen=True, kw_only=True)
class JoinedTask:
    """One task's facts with what they were made from.

    Attributes:
        facts: The facts.
        runs: One of each model, the teacher's first.
        scored: Their predictions.
    """

    facts: TaskFacts
    runs: tuple[FinetuneRun, ...]
    scored: Scored

    @property
    def labels(self) -> list[str]:
        """The models that were run."""
        return [run.label for run in self.runs]


def join_task(name: str, runs: Sequence[FinetuneRun], *, split: str, seed: int) -> JoinedTask:
    """Joins the runs of one task.

    Args:
        name: The task's name in the suite.
        runs: Of this task, exactly one of them the teacher's.
        split: The split to report.
        seed: Of the resampling; every task needs its own, since its examples are drawn apart.

    Raises:
        DataError: If the runs can't be compared.
    """
    ordered = order_runs(runs)
    scored = read_scored(ordered, split, seed=seed)
    models = join_models(ordered, scored, speeds={})
    facts = TaskFacts(
        name=name,
        metric=scored.metric,
        num_examples=scored.num_examples,
        constant=scored.constant,
        models=tuple(models),
        comparisons=tuple(join_comparisons(models, scored)),
    )
    return JoinedTask(facts=facts, runs=tuple(ordered), scored=scored)


@dataclass(frozen=True, kw_only=True)
class Averaged:
    """The tasks that all models have run; compares the macro averages over them.

    Attributes:
        tasks: At least one.
        metric: Name of the average.
        is_binomial: An average over tasks is no share of examples.
    """

    tasks: tuple[JoinedTask, ...]
    metric: str = "macro_average"
    is_binomial: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names."""
        return tuple(task.facts.name for task in self.tasks)

    @property
    def split(self) -> str:
        """The split."""
        return self.tasks[0].scored.split

    @property
    def num_examples(self) -> int:
        """Examples of all tasks."""
        return sum(task.facts.num_examples for task in self.tasks)

    @property
    def has_intervals(self) -> bool:
        """Whether every task's metric can be resampled."""
        return all(task.scored.resampled for task in self.tasks)

    @property
    def constant(self) -> ConstantFacts | None:
        """The average of each task's best constant answer; None if one is not known."""
        found = [task.facts.constant for task in self.tasks]
        known = [constant.score for constant in found if constant is not None]
        if len(known) < len(found):
            return None
        answer = found[0].answer if len(found) == 1 and found[0] else None
        return ConstantFacts(answer=answer, score=statistics.fmean(known))

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Names of the tasks on which the teacher is not shown to have learned anything."""
        return tuple(task.facts.name for task in self.tasks if not task.facts.is_learned)

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models' averages; None if a task's metric can't be resampled."""
        if not self.has_intervals:
            return None
        rows = [[task.scored.resampled[label] for task in self.tasks] for label in (first, second)]
        return compare(rows[0], rows[1])

    def compare_to_constant(self, label: str) -> Paired | None:
        """Compares a model's average with that of the constant answers; None likewise."""
        constants = [task.scored.resampled_constant for task in self.tasks]
        known = [constant for constant in constants if constant is not None]
        if not self.has_intervals or len(known) < len(constants):
            return None
        return compare([task.scored.resampled[label] for task in self.tasks], known)

    def explain_inequality(self, model: ModelFacts, reference: ModelFacts) -> str | None:
        """Says on which tasks two models were not trained alike; None if on none."""
        pair = (model.label, reference.label)
        found = [
            f"on {task.facts.name}, {comparison.unequal}"
            for task in self.tasks
            for comparison in task.facts.comparisons
            if (comparison.model, comparison.reference) == pair and comparison.unequal
        ]
        more = len(found) - _MOST_REASONS
        tail = [] if more <= 0 else [f"and on {more} other task{'s' if more > 1 else ''}"]
        return "; ".join([*found[:_MOST_REASONS], *tail]) or None


def average_models(averaged: Averaged, *, speeds: Mapping[str, Speed]) -> list[ModelFacts]:
    """Returns each model with its macro average; speeds are per label, if there are any."""
    every = [model for task in averaged.tasks for model in task.facts.models]
    labels = averaged.tasks[0].labels
    models = [_average_model([m for m in every if m.label == label]) for label in labels]
    return hold_against_teacher(models, averaged, speeds=speeds)


def _average_model(facts: Sequence[ModelFacts]) -> ModelFacts:
    """Returns a model's facts over its tasks, from those on each."""
    seconds = [model.training_seconds for model in facts if model.training_seconds is not None]
    return replace(
        facts[0],
        scores=_average_scores([model.scores for model in facts]),
        favourite=None,
        agreement_with_teacher=None,
        agreement_between_seeds=None,
        training=None,
        training_seconds=sum(seconds) if seconds else None,
    )


def _average_scores(scores: Sequence[SeedScores]) -> SeedScores:
    """Returns the mean over tasks; a task without seeds counts alike in each seed's."""
    seeds = max((found.seeds for found in scores), key=len)
    values = [
        statistics.fmean(found.values[i % len(found.values)] for found in scores)
        for i in range(len(seeds))
    ]
    errors = [found.standard_error for found in scores if found.standard_error is not None]
    whole = len(errors) == len(scores)
    return SeedScores(
        seeds=seeds,
        values=tuple(values),
        mean=statistics.fmean(found.mean for found in scores),
        median=statistics.fmean(found.median for found in scores),
        lowest=min(values),
        highest=max(values),
        standard_error=math.sqrt(sum(e**2 for e in errors)) / len(scores) if whole else None,
    )
