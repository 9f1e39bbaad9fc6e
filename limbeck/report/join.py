"""Brings runs together: every model against the teacher, every student against every baseline."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from limbeck.errors import DataError, SettingsError, did_you_mean
from limbeck.inference.speed import Speed, compare_speed
from limbeck.report import wording
from limbeck.report.facts import Comparison, ModelFacts, Scores
from limbeck.report.runs import FinetuneRun, find_difference, read_predictions
from limbeck.report.statistics import (
    METRICS,
    Ids,
    Paired,
    agreement,
    agreement_between_seeds,
    compare,
    encode_classes,
    resampling_error,
    score,
    standard_error,
)

_ROLES = ("teacher", "student", "baseline", "other")
_TOLERANCE = 1e-6  # between a score written down and the same score from the predictions


def order_runs(runs: Sequence[FinetuneRun], *, teacher: str | None = None) -> list[FinetuneRun]:
    """Returns the runs with the teacher first, then students, baselines and others.

    Args:
        runs: Runs of one task.
        teacher: Label of the run that is the teacher; needed unless exactly one has that role.

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
            raise SettingsError(f"{found}; say which is the teacher by its label: --teacher LABEL")
        teacher = teachers[0]
    if teacher not in labels:
        raise SettingsError(
            f"teacher = '{teacher}': no run has that label; accepted: {', '.join(labels)}."
            + did_you_mean(teacher, labels)
        )
    roles = [_role(run, teacher=teacher) for run in runs]
    given = [replace(run, role=role) for run, role in zip(runs, roles, strict=True)]
    return sorted(given, key=lambda run: _ROLES.index(run.role))


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What all models predicted on the same examples, classes as integers.

    Attributes:
        split: The split.
        metric: The task's main metric.
        labels: True classes, (examples,).
        predictions: Per model label, (seeds, examples).
        num_classes: Classes that exist.
    """

    split: str
    metric: str
    labels: Ids
    predictions: Mapping[str, Ids]
    num_classes: int

    def compare(self, first: str, second: str) -> Paired | None:
        """Compares two models by their labels; None if the metric can't be resampled."""
        if self.metric not in METRICS:
            return None
        return compare(
            self.labels,
            self.predictions[first],
            self.predictions[second],
            metric=self.metric,
            num_classes=self.num_classes,
        )


def read_scored(runs: Sequence[FinetuneRun], split: str) -> Scored:
    """Reads the predictions of all runs.

    Args:
        runs: The runs; the first one's examples are what the others are held against.
        split: The split to read.

    Raises:
        DataError: If a run was scored on other examples, or its predictions don't give its score.
    """
    read = [read_predictions(run, split) for run in runs]
    for run, found in zip(runs, read, strict=True):
        problem = find_difference((found.index, found.labels), (read[0].index, read[0].labels))
        if problem:
            raise DataError(
                f"{run.folder} and {runs[0].folder} were not scored on the same {split} examples: "
                f"{problem}; a paired comparison needs the same ones"
            )
    columns = [read[0].labels, *(found.predictions for found in read)]
    labels, *predictions = encode_classes(columns, names=runs[0].class_names())
    scored = Scored(
        split=split,
        metric=runs[0].metric,
        labels=labels,
        predictions={run.label: rows for run, rows in zip(runs, predictions, strict=True)},
        num_classes=max(
            len(runs[0].class_names()), 1 + max(int(c.max()) for c in (labels, *predictions))
        ),
    )
    for run in runs:
        _check_scores(run, scored)
    return scored


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


def join_comparisons(models: Sequence[ModelFacts], scored: Scored) -> list[Comparison]:
    """Returns each student against each baseline, then against the teacher."""
    references = [model for model in models if model.role == "baseline"]
    references += [model for model in models if model.role == "teacher"]
    students = [model for model in models if model.role == "student"]
    found = []
    for model, reference in itertools.product(students, references):
        paired = scored.compare(model.label, reference.label)
        text = wording.describe_comparison(
            model, reference, paired, num_examples=len(scored.labels)
        )
        found.append(
            Comparison(
                model=model.label,
                reference=reference.label,
                reference_role=reference.role,
                paired=paired,
                verdict=wording.verdict_of(paired),
                text=text,
            )
        )
    return found


def _model_facts(
    run: FinetuneRun, teacher: FinetuneRun, scored: Scored, *, speeds: Mapping[str, Speed]
) -> ModelFacts:
    own, speed = scored.predictions[run.label], speeds.get(run.label)
    retention = agrees = speed_up = None
    if run is not teacher:
        paired = scored.compare(run.label, teacher.label)
        retention = None if paired is None else paired.ratio
        agrees = agreement(own, scored.predictions[teacher.label])
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
        scores=_scores(run, scored),
        retention=retention,
        agreement_with_teacher=agrees,
        agreement_between_seeds=agreement_between_seeds(own),
        speed=speed,
        speed_up=speed_up,
        training_seconds=_total_seconds(run),
    )


def _role(run: FinetuneRun, *, teacher: str) -> str:
    if run.label == teacher:
        return "teacher"
    return run.role if run.role in _ROLES[1:] else "other"


def _check_scores(run: FinetuneRun, scored: Scored) -> None:
    """Refuses a folder whose predictions and result are not of the same run."""
    if run.metric not in METRICS:
        return
    rows, written_scores = scored.predictions[run.label], run.scores(scored.split)
    for seed, row, written in zip(run.seeds, rows, written_scores, strict=True):
        found = score(scored.labels, row, metric=run.metric, num_classes=scored.num_classes)
        if abs(found - written) > _TOLERANCE:
            raise DataError(
                f"{seed.folder / 'predictions.jsonl'} gives {run.metric} {found:.6f} on "
                f"{scored.split}, but result.json says {written:.6f}: the folder mixes two runs; "
                "fine-tune again"
            )


def _scores(run: FinetuneRun, scored: Scored) -> Scores:
    values, rows = run.scores(scored.split), scored.predictions[run.label]
    error = None
    if run.metric == "accuracy":
        error = standard_error(statistics.fmean(values), len(scored.labels))
    elif run.metric in METRICS:
        error = resampling_error(
            scored.labels, rows, metric=run.metric, num_classes=scored.num_classes
        )
    return Scores(
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
