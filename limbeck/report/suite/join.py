"""Brings the runs of a suite together: each task by itself, then the average over tasks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from limbeck.inference.speed import Speed, compare_speed
from limbeck.report.facts import Comparison, ModelFacts, SeedScores
from limbeck.report.join import (
    join_comparisons,
    join_models,
    make_comparison,
    order_runs,
    pair_up,
)
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
        is_learned=not scored.is_constant(ordered[0].label),
        models=tuple(models),
        comparisons=tuple(join_comparisons(models, scored)),
    )
    return JoinedTask(facts=facts, runs=tuple(ordered), scored=scored)


def average_models(tasks: Sequence[JoinedTask], *, speeds: Mapping[str, Speed]) -> list[ModelFacts]:
    """Returns each model with its macro average over tasks that all models have run.

    Args:
        tasks: At least one.
        speeds: Per label, measured in one run; empty if none was.
    """
    teacher = tasks[0].runs[0].label
    return [_average_model(label, teacher, tasks, speeds=speeds) for label in tasks[0].labels]


def compare_averages(models: Sequence[ModelFacts], tasks: Sequence[JoinedTask]) -> list[Comparison]:
    """Returns each student against each baseline, then against the teacher, on the average."""
    return [
        make_comparison(
            model,
            reference,
            paired=compare_on(tasks, model.label, reference.label),
            unequal=_explain_unequal_tasks(tasks, model.label, reference.label),
            num_examples=sum(task.facts.num_examples for task in tasks),
        )
        for model, reference in pair_up(models)
    ]


def _explain_unequal_tasks(tasks: Sequence[JoinedTask], model: str, reference: str) -> str | None:
    """Says on which tasks two models were not trained alike; None if on none."""
    found = [
        f"on {task.facts.name}, {comparison.unequal}"
        for task in tasks
        for comparison in task.facts.comparisons
        if (comparison.model, comparison.reference) == (model, reference) and comparison.unequal
    ]
    more = len(found) - _MOST_REASONS
    tail = [] if more <= 0 else [f"and on {more} other task{'s' if more > 1 else ''}"]
    return "; ".join([*found[:_MOST_REASONS], *tail]) or None


def compare_on(tasks: Sequence[JoinedTask], first: str, second: str) -> Paired | None:
    """Compares two models' macro averages; None if a task's metric can't be resampled."""
    if not all(task.scored.resampled for task in tasks):
        return None
    rows = [[task.scored.resampled[label] for task in tasks] for label in (first, second)]
    return compare(rows[0], rows[1])


def _average_model(
    label: str, teacher: str, tasks: Sequence[JoinedTask], *, speeds: Mapping[str, Speed]
) -> ModelFacts:
    facts = [model for task in tasks for model in task.facts.models if model.label == label]
    speed = speeds.get(label)
    retention = speed_up = None
    if label != teacher:
        paired = compare_on(tasks, label, teacher)
        retention = None if paired is None else paired.retention
        if speed is not None:
            speed_up = compare_speed(speed, reference=speeds[teacher])
    seconds = [model.training_seconds for model in facts if model.training_seconds is not None]
    return replace(
        facts[0],
        scores=_average_scores([model.scores for model in facts]),
        retention=retention,
        agreement_with_teacher=None,
        agreement_between_seeds=None,
        speed=speed,
        speed_up=speed_up,
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
