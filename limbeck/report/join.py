"""Brings runs together: every model against the teacher, every student against every baseline."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.inference.speed import Speed, compare_speed
from limbeck.report import wording
from limbeck.report.facts import TAUGHT, Comparison, ModelFacts, Names, SeedScores
from limbeck.report.runs import FinetuneRun
from limbeck.report.scored import Scored, Scores
from limbeck.report.statistics import binomial_error
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
        values = {getattr(run.result, name): run for run in runs}
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
    runs: Sequence[FinetuneRun],
    scored: Scored,
    *,
    speeds: Mapping[str, Speed],
    references: Mapping[str, Speed] = MappingProxyType({}),
) -> list[ModelFacts]:
    """Returns the facts of each run's model; the first run is the teacher.

    Args:
        runs: In the order of the report.
        scored: Their predictions.
        speeds: Per label; empty if none was measured.
        references: The teacher's in the same rounds, by the label of what was measured with it;
            what is not here was measured in one run with the teacher's of `speeds`.
    """
    teacher = runs[0].label
    models = [_describe_model(run, scored) for run in runs]
    agree = {m.label: scored.agreement(m.label, teacher) for m in models if m.label != teacher}
    models = [replace(m, agreement_with_teacher=agree.get(m.label)) for m in models]
    return hold_against_teacher(models, scored, speeds=speeds, references=references)


def hold_against_teacher(
    models: Sequence[ModelFacts],
    scored: Scores,
    *,
    speeds: Mapping[str, Speed],
    references: Mapping[str, Speed] = MappingProxyType({}),
) -> list[ModelFacts]:
    """Returns the models with their speeds, and all but the first with what they kept of it."""
    judged = [_judge(model, scored, speeds=speeds) for model in models]
    teacher, *others = judged
    found = [teacher]
    for model in others:
        paired, speed = scored.compare(model.label, teacher.label), model.speed
        reference, faster = references.get(model.label, speeds.get(teacher.label)), None
        if speed is not None and reference is not None:  # a teacher may be no model
            faster = compare_speed(speed, reference=reference)
        # A share of what needs no model says nothing: of 64, the same answer each time keeps 64.
        is_shown = model.beats_constant and teacher.beats_constant
        kept = paired.retention if paired is not None and is_shown else None
        found.append(replace(model, retention=kept, speed_up=faster))
    return found


def _judge(model: ModelFacts, scored: Scores, *, speeds: Mapping[str, Speed]) -> ModelFacts:
    """Returns a model with its speed, and how far it is above the best constant answer."""
    paired = scored.compare_to_constant(model.label)
    return replace(
        model,
        speed=speeds.get(model.label),
        above_constant=None if paired is None else paired.difference,
        beats_constant=None if paired is None else paired.is_ahead,
    )


def join_comparisons(
    models: Sequence[ModelFacts],
    scored: Scores,
    *,
    is_short: bool = False,
    explain: Callable[[ModelFacts, ModelFacts], str | None] = explain_inequality,
    names: Names = TAUGHT,
) -> list[Comparison]:
    """Returns what each student's scores show against each baseline, then against the teacher.

    Args:
        models: All models.
        scored: What compares them.
        is_short: Whether the models were trained too briefly for any claim.
        explain: Says how two models were not trained alike, so that nothing is claimed of them.
        names: What the teacher and the student are called.
    """
    students = [model for model in models if model.role == "student"]
    references = [
        model for role in ("baseline", "teacher") for model in models if model.role == role
    ]
    found = []
    for model, reference in itertools.product(students, references):
        unequal = explain(model, reference)
        claims = unequal is None and not is_short
        paired = scored.compare(model.label, reference.label) if claims else None
        text = wording.describe_comparison(
            model,
            reference,
            paired,
            unequal=unequal,
            num_examples=scored.num_examples,
            is_short=is_short,
            names=names,
        )
        found.append(
            Comparison(
                model=model.label,
                reference=reference.label,
                reference_role=reference.role,
                paired=paired,
                unequal=unequal,
                verdict=wording.verdict_of(paired),
                text=text,
            )
        )
    return found


def _describe_model(run: FinetuneRun, scored: Scored) -> ModelFacts:
    """Returns what is known of a model by itself."""
    trained = [seed.record for seed in run.seeds if seed.record is not None]
    result = run.result
    return ModelFacts(
        label=run.label,
        role=run.role,
        model=result.model,
        folder=str(run.folder),
        num_layers=result.num_layers,
        num_parameters=result.num_parameters,
        file_bytes=result.file_bytes,
        scores=_join_scores(run, scored),
        favourite=scored.favourites.get(run.label),
        agreement_between_seeds=scored.agreement(run.label, run.label),
        training=read_training(run),
        training_seconds=sum(seed.elapsed_seconds for seed in trained) if trained else None,
    )


def _role(run: FinetuneRun, *, teacher: str) -> Role:
    if run.label == teacher:
        return "teacher"
    return "other" if run.role == "teacher" else run.role


def _join_scores(run: FinetuneRun, scored: Scored) -> SeedScores:
    """Returns a run's main metric over its seeds."""
    values = run.scores(scored.split)
    error = None
    if scored.is_binomial:
        error = binomial_error(statistics.fmean(values), scored.num_examples)
    elif scored.has_intervals:
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
