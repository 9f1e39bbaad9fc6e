"""Writes a suite's report: reads the runs, measures, joins, renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.errors import DataError
from limbeck.inference.speed import Speed
from limbeck.report import figures, wording
from limbeck.report.facts import ModelFacts
from limbeck.report.join import join_comparisons
from limbeck.report.notes import describe_conditions, describe_method
from limbeck.report.runs import Measure, read_finetune_run
from limbeck.report.suite.facts import SuiteReport
from limbeck.report.suite.join import Averaged, JoinedTask, average_models, join_task
from limbeck.report.suite.page import make_page
from limbeck.report.suite.published import read_published
from limbeck.report.write import write_files


def write_suite_report(
    tasks: Mapping[str, Sequence[Path]],
    *,
    out: Path,
    suite: str,
    split: str,
    asked: Sequence[str],
    num_tasks: int,
    missing: Mapping[str, str] | None = None,
    failures: Mapping[str, str] | None = None,
    measure: Measure | None = None,
) -> SuiteReport:
    """Joins the runs of a suite into `report.md`, `report.html` and `report.json`.

    The average runs over the tasks that every model has; a task without a run of the teacher is
    left out. The HTML page holds all it needs and loads nothing.

    Args:
        tasks: For each task, the finished run folders of `finetune` or `evaluate`.
        out: Folder to write to; made if it does not exist.
        suite: Name of the suite.
        split: The split to report.
        asked: Names of the tasks that were to be run.
        num_tasks: Tasks that the suite has.
        missing: Tasks without data, and why.
        failures: Tasks and runs that failed, and why.
        measure: Measures the models' speed, on the examples of one task; None leaves it out.

    Raises:
        DataError: If no task has been run by every model, or runs can't be compared.
    """
    joined, averaged = _join(tasks, split=split, failures=failures or {})
    speeds: Mapping[str, Speed] = {}
    speed_task = None
    if measure is not None:  # on the task whose examples are the most ordinary: the largest
        chosen = max(averaged.tasks, key=lambda task: task.facts.num_examples)
        speed_task, speeds = chosen.facts.name, measure(chosen.runs, split)
    models = average_models(averaged, speeds=speeds)
    comparisons = join_comparisons(models, averaged, explain=averaged.explain_inequality)
    names = [task.facts.name for task in joined]
    runs = averaged.tasks[0].runs
    partial = [name for name in names if name not in averaged.names]
    report = SuiteReport(
        title=_title(models, suite, num_tasks=len(names)),
        headline=wording.headline(
            models,
            averaged,
            where=f"over {len(averaged.tasks)} of {_shown(suite)} {num_tasks} tasks",
        ),
        remarks=(
            *_describe_unlearned(averaged.unlearned),
            *wording.describe_limits(models, comparisons),
        ),
        constant=averaged.constant,
        suite=suite,
        split=split,
        num_examples=averaged.num_examples,
        tasks=tuple(task.facts for task in joined),
        averaged=averaged.names,
        absent=tuple(name for name in asked if name not in averaged.names),
        models=tuple(models),
        comparisons=tuple(comparisons),
        published=read_published(split, names),
        missing=dict(missing or {}),
        failures=dict(failures or {}),
        speed_task=speed_task,
        notes=(
            *_notes(averaged, partial=partial, speed_task=speed_task),
            *describe_method(models, averaged),
        ),
        conditions={
            **describe_conditions(runs),
            **{f"Run of {run.label}": f"from {run.result.model}" for run in runs},
        },
    )
    return replace(report, files=write_files(make_page(report), Path(out), report.to_dict()))


def _join(
    tasks: Mapping[str, Sequence[Path]], *, split: str, failures: Mapping[str, str]
) -> tuple[list[JoinedTask], Averaged]:
    """Returns the tasks that the teacher has run, and those of them that every model has."""
    read = {name: [read_finetune_run(folder) for folder in tasks[name]] for name in tasks}
    joined = [
        join_task(name, runs, split=split, seed=number)
        for number, (name, runs) in enumerate(read.items())
        if any(run.role == "teacher" for run in runs)
    ]
    labels = {run.label for runs in read.values() for run in runs}
    whole = tuple(task for task in joined if set(task.labels) == labels)
    if not whole:
        reasons = "; ".join(f"{name}: {why}" for name, why in failures.items())
        raise DataError(
            "no task has been run by every model, so there is nothing to average"
            + (f" ({reasons})" if reasons else "")
        )
    return joined, Averaged(tasks=whole)


def _shown(suite: str) -> str:
    """Returns whose the tasks are."""
    return "GLUE's" if suite == "glue" else "the suite's"


def _describe_unlearned(tasks: Sequence[str]) -> list[str]:
    """Says on which tasks an average holds nothing; empty where there are none."""
    if not tasks:
        return []
    named = " and ".join(filter(None, [", ".join(tasks[:-1]), tasks[-1]]))
    warning = (
        f"The average takes in {named}, where the teacher is not shown to do better than one "
        "answer for all: nothing can be kept there."
    )
    return [warning]


def _title(models: Sequence[ModelFacts], suite: str, *, num_tasks: int) -> str:
    """Returns the page's title; a long list of models is not spelled out."""
    first, *others = [figures.quoted(model.label) for model in models]
    more = {0: "", 1: f" and {''.join(others)}"}.get(
        len(others), f" and {len(others)} other models"
    )
    where = "GLUE" if suite == "glue" else f"{num_tasks} task{'s' if num_tasks > 1 else ''}"
    return f"{first}{more} on {where}"


def _notes(averaged: Averaged, *, partial: Sequence[str], speed_task: str | None) -> list[str]:
    """Returns the notes that only an average needs."""
    notes = [
        (
            "The average takes each task's main metric alike. Its intervals resample the examples "
            "of every task and, where a model has several seeds on it, the seeds, each task apart."
        )
    ]
    if partial:
        notes.append(
            f"Not in the average, since not every model was run on them: {', '.join(partial)}."
        )
    if speed_task is not None:
        notes.append(
            f"Speed is that of the models fine-tuned on {speed_task}, parameters and file sizes "
            f"those of {averaged.names[0]}: only the heads differ between tasks."
        )
    return notes
