"""Brings runs together: every model against the teacher, every student against every baseline."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.inference.speed import Speed, compare_speed
from limbeck.report import wording
from limbeck.report.facts import Comparison, ModelFacts, SeedScores
from limbeck.report.runs import FinetuneRun
from limbeck.report.scored import Scored
from limbeck.report.statistics import (
    Paired,
    standard_error,
)
from limbeck.report.training import explain_inequality, read_training
from limbeck.runs import Role

_ROLES: tuple[Role, ...] = ("teacher", "student", "baseline", "other")


def order_runs(runs: Sequence[FinetuneRun], *, teacher: str | None = None) -> list[FinetuneRun]:
    """Returns the runs with the teacher first, then students, baselines and others.

    Args:
        runs: Runs of one task.
        teacher: Folder or label of the run that is the teacher; needed unless exactly one has that
            role. A folder counts before a label.

    Raises:
        SettingsError: If there is no run, or no single teacher.
        DataError: If the runs are of different tasks or metrics, or two have one label.
    """
    if not runs:
        raise SettingsError("a report needs at least one fine-tuning run folder, got none")
    for name in ("task", "metric"):
        values = {getattr(run, name): run for run in runs}
        if len(values) > 1:
            described = ", ".join(f"{value} ({run.folder})" for value, run in values.items())
            raise DataError(f"the runs differ in their {name}: {described}; report each on its own")
    labels = [run.label for run in runs]
    twice = [label for label, number in Counter(labels).items() if number > 1]
    if twice:
        folders = ", ".join(str(run.folder) for run in runs if run.label == twice[0])
        raise DataError(f"several runs are labelled '{twice[0]}': {folders}; give each its own")
    if teacher is None:
        teachers = [run.label for run in runs if run.role == "teacher"]
        if len(teachers) != 1:
            found = f"several runs are teachers ({', '.join(teachers)})" if teachers else (
                f"none of the runs has the role teacher (there are: {', '.join(labels)})"
            )  # fmt: skip
            raise SettingsError(f"{found}; say which is the teacher: --teacher LABEL-OR-FOLDER")
        teacher = teachers[0]
    else:
        teacher = _label_of(teacher, runs)
    if teacher not in labels:
        raise SettingsError(
            f"teacher = '{teacher}': no run has that label or folder; accepted: "
            f"{', '.join(labels)}." + did_you_mean(teacher, labels)
        )
    roles = [_role(run, teacher=teacher) for run in runs]
    given = [replace(run, role=role) for run, role in zip(runs, roles, strict=True)]
    return sorted(given, key=lambda run: _ROLES.index(run.role))


def _label_of(given: str, runs: Sequence[FinetuneRun]) -> str:
    """Returns the label of the run whose folder is given, or what is given where there is none."""
    folder = Path(given).expanduser().resolve()
    return next((run.label for run in runs if run.folder.resolve() == folder), given)


def join_models(
    runs: Sequence[FinetuneRun], scored: Scored, *, speeds: Mapping[str, Speed]
) -> list[ModelFacts]:
    """Returns the facts of each run's model; the first run is the teacher.

    Args:
        runs: In the order of the report.
        scored: Their predictions.
        speeds: Per label, measured in one run; empty if none was.
    """
    return [_model_facts(run, runs[0], scored, speeds=speeds) for run in runs]


def join_comparisons(
    models: Sequence[ModelFacts], scored: Scored, *, is_short: bool = False
) -> list[Comparison]:
    """Returns each student against each baseline, then against the teacher.

    Args:
        models: All models.
        scored: Their predictions.
        is_short: Whether the models were trained too briefly for any claim.
    """
    return [
        make_comparison(
            model,
            reference,
            paired=scored.compare(model.label, reference.label),
            unequal=explain_inequality(model, reference),
            num_examples=scored.num_examples,
            is_short=is_short,
        )
        for model, reference in pair_up(models)
    ]


def pair_up(models: Sequence[ModelFacts]) -> list[tuple[ModelFacts, ModelFacts]]:
    """Returns each student with each baseline, then with the teacher."""
    students = [model for model in models if model.role == "student"]
    references = [
        model for role in ("baseline", "teacher") for model in models if model.role == role
    ]
    return list(itertools.product(students, references))


def make_comparison(
    model: ModelFacts,
    reference: ModelFacts,
    *,
    paired: Paired | None,
    unequal: str | None,
    num_examples: int,
    is_short: bool = False,
) -> Comparison:
    """Returns what two models' scores on the same examples show, if they were trained alike.

    Args:
        model: The student.
        reference: What it is held against.
        paired: The bootstrap; None if the metric has none.
        unequal: How they were not trained alike, or None.
        num_examples: Examples that both were scored on.
        is_short: Whether they were trained too briefly for any claim.
    """
    paired = None if unequal or is_short else paired
    return Comparison(
        model=model.label,
        reference=reference.label,
        reference_role=reference.role,
        paired=paired,
        unequal=unequal,
        verdict=wording.verdict_of(paired),
        text=wording.describe_comparison(
            model,
            reference,
            paired,
            unequal=unequal,
            num_examples=num_examples,
            is_short=is_short,
        ),
    )


def _model_facts(
    run: FinetuneRun, teacher: FinetuneRun, scored: Scored, *, speeds: Mapping[str, Speed]
) -> ModelFacts:
    speed = speeds.get(run.label)
    retention = agrees = speed_up = None
    if run is not teacher:
        paired = scored.compare(run.label, teacher.label)
        retention = None if paired is None else paired.retention
        agrees = scored.agreement(run.label, teacher.label)
        if speed is not None:
            speed_up = compare_speed(speed, reference=speeds[teacher.label])
    return ModelFacts(
        label=run.label,
        role=run.role,
        model=run.model,
        folder=str(run.folder),
        num_layers=run.num_layers,
        num_parameters=run.num_parameters,
        file_bytes=run.file_bytes,
        scores=join_scores(run, scored),
        retention=retention,
        agreement_with_teacher=agrees,
        agreement_between_seeds=scored.agreement(run.label, run.label),
        speed=speed,
        speed_up=speed_up,
        training=read_training(run),
        training_seconds=_total_seconds(run),
    )


def _role(run: FinetuneRun, *, teacher: str) -> Role:
    if run.label == teacher:
        return "teacher"
    return "other" if run.role == "teacher" else run.role


def join_scores(run: FinetuneRun, scored: Scored) -> SeedScores:
    """Returns a run's main metric over its seeds."""
    values = run.scores(scored.split)
    error = None
    if run.metric == "accuracy":
        error = standard_error(statistics.fmean(values), scored.num_examples)
    elif scored.resampled:
        error = scored.resampled[run.label].standard_error
    return SeedScores(
        seeds=tuple(seed.seed for seed in run.seeds),
        values=tuple(values),
        mean=statistics.fmean(values),
        median=statistics.median(values),
        lowest=min(values),
        highest=max(values),
        standard_error=error,
    )


def _total_seconds(run: FinetuneRun) -> float | None:
    seconds = [seed.elapsed_seconds for seed in run.seeds]
    return None if None in seconds else sum(s for s in seconds if s is not None)
