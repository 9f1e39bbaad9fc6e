"""The tables of a suite's report, as text, the same in Markdown and HTML."""

from __future__ import annotations

from limbeck.report import figures, wording
from limbeck.report.facts import ModelFacts
from limbeck.report.figures import NONE, or_none
from limbeck.report.page import Table
from limbeck.report.suite.facts import SuiteReport, TaskFacts
from limbeck.report.suite.published import Published
from limbeck.report.tables import (
    Columns,
    add_constant,
    difference_cells,
    model_table,
    seed_columns,
    seed_range,
    steps_or_none,
)


def average_table(report: SuiteReport) -> Table:
    """Returns what each model reaches on the macro average, and what it kept."""
    columns: Columns = {
        "Average, mean": lambda m: figures.points(m.scores.mean),
        "Standard error": lambda m: or_none(m.scores.standard_error, figures.points),
        "Retention (95 % interval)": lambda m: or_none(m.retention, figures.share),
        "Average of medians": lambda m: figures.points(m.scores.median),
        "Lowest to highest seed": seed_range,
        "Fine-tuning, all runs": lambda m: or_none(m.training_seconds, figures.duration),
        "Role": lambda m: m.role,
    }
    note = (
        f"Macro average over {len(report.averaged)} tasks ({', '.join(report.averaged)}), "
        f"{report.split}, each task's main metric counting alike. Retention is the mean "
        "over seeds divided by the teacher's."
    )
    table = model_table(report.models, columns, title="What was kept", note=note)
    return add_constant(table, report.constant)


def score_table(report: SuiteReport) -> Table:
    """Returns each task's median and range for every model, with the published figures."""
    rows = [
        (
            describe_task(task),
            figures.count(task.num_examples),
            or_none(task.constant, lambda constant: figures.points(constant.score)),
            *(_score_cell(task.find(model.label)) for model in report.models),
            *(or_none(found.scores.get(task.name), figures.points) for found in report.published),
        )
        for task in report.tasks
    ]
    rows.append(
        (
            _average_of(report),
            figures.count(report.num_examples),
            or_none(report.constant, lambda constant: figures.points(constant.score)),
            *(figures.points(model.scores.median) for model in report.models),
            *(
                or_none(found.average(report.averaged), figures.points)
                for found in report.published
            ),
        )
    )
    note = (
        f"Median over seeds on {report.split}, lowest to highest seed in brackets. One answer for "
        "all is the best that a model reaches which never looks at its input."
    )
    if report.published:
        note += (
            " Columns marked as published are other people's figures with other fine-tuning code, "
            "and sometimes another metric; their average is over the same tasks or not given. "
            "Ratios compare, scores hardly do."
        )
    models = [model.label for model in report.models]
    published = [f"Published: {found.name}" for found in report.published]
    return Table(
        title="Score on each task",
        columns=("Task", "Examples", "One answer for all", *models, *published),
        rows=tuple(rows),
        note=note,
    )


def retention_table(report: SuiteReport) -> Table | None:
    """Returns what each model kept of the teacher's score on each task; None without others."""
    others = [model for model in report.models if model.label != report.teacher]
    if not others:
        return None
    note = (
        "Mean score over seeds divided by the teacher's, with the 95 % bootstrap interval over "
        "examples and seeds; an interval that takes in 100 shows no difference to the teacher."
    )
    bare = [task.name for task in report.tasks if _lacks_share(task, report.teacher)]
    if bare:
        note += (
            f" None is given on {', '.join(bare)}, where the teacher, or every other model, is not "
            "shown to do better than one answer for all."
        )
    rows = []
    for task in report.tasks:
        found = [task.find(model.label) for model in others]
        cells = [
            NONE if model is None else or_none(model.retention, figures.share) for model in found
        ]
        rows.append([describe_task(task), *cells])
    rows.append(
        [_average_of(report), *(or_none(model.retention, figures.share) for model in others)]
    )
    columns = ["Task", *(model.label for model in others)]
    ratios = _published_ratios(report)
    if ratios:
        columns.append("Published: DistilBERT / BERT-base")
        rows = [
            [*row, or_none(ratio, figures.percent)] for row, ratio in zip(rows, ratios, strict=True)
        ]
    return Table(
        title="Retention on each task",
        columns=tuple(columns),
        rows=tuple(map(tuple, rows)),
        note=note,
    )


def seeds_table(report: SuiteReport) -> Table:
    """Returns every seed's score of every model on every task."""
    names, cells = seed_columns([model for task in report.tasks for model in task.models])
    return Table(
        title="Every seed",
        columns=("Task and model", *names, "Agrees with teacher", "Steps"),
        rows=tuple(
            (
                f"{task.name}: {model.label}",
                *cells(model),
                or_none(model.agreement_with_teacher, figures.percent),
                steps_or_none(model),
            )
            for task in report.tasks
            for model in task.models
        ),
        note=f"Each task's main metric on {report.split}; steps are those of fine-tuning.",
    )


def findings_table(report: SuiteReport) -> Table | None:
    """Returns what each task's comparisons show; None if there are none."""
    rows = tuple(
        (f"{task.name}: {c.model} − {c.reference}", *difference_cells(c), c.verdict)
        for task in report.tasks
        for c in task.comparisons
    )
    if not rows:
        return None
    return Table(
        title="Paired differences on each task",
        columns=("Difference", "Points", "95 % interval", "Finding"),
        rows=rows,
        note="One comparison each: of twenty without a difference, one finds one by chance.",
    )


def absent_table(report: SuiteReport) -> Table | None:
    """Returns what is not in the report, and why; None if all is."""
    rows = [(name, "no data", reason) for name, reason in report.missing.items()]
    rows += [(name, "failed", reason) for name, reason in report.failures.items()]
    if not rows:
        return None
    return Table(title="What is missing", columns=("Task", "State", "Why"), rows=tuple(rows))


def describe_task(task: TaskFacts) -> str:
    """Returns a task with its metric in short, such as `cola, Matthews`."""
    return f"{task.name}, {wording.short_metric_name(task.metric)}"


def _average_of(report: SuiteReport) -> str:
    return f"Average of {len(report.averaged)}"


def _lacks_share(task: TaskFacts, teacher: str) -> bool:
    """Tells whether a task's metric has intervals, and no model a share of the teacher's score."""
    has_intervals = all(model.scores.standard_error is not None for model in task.models)
    shares = [model.retention for model in task.models if model.label != teacher]
    return has_intervals and bool(shares) and not any(shares)


def _share_cell(model: ModelFacts | None) -> str:
    return NONE if model is None else or_none(model.retention, figures.share)


def _score_cell(model: ModelFacts | None) -> str:
    if model is None:
        return NONE
    median = figures.points(model.scores.median)
    return median if len(model.scores.values) == 1 else f"{median} ({seed_range(model)})"


def _published_ratios(report: SuiteReport) -> list[float | None]:
    """Returns DistilBERT's published score over that of BERT-base on each task and on average.

    Empty if one of the two is not published.
    """
    by_name: dict[str, Published] = {found.name: found for found in report.published}
    if not {"BERT-base", "DistilBERT"} <= set(by_name):
        return []
    small, large = (
        [
            *(found.scores.get(task.name) for task in report.tasks),
            found.average(report.averaged),
        ]
        for found in (by_name["DistilBERT"], by_name["BERT-base"])
    )
    return [
        None if one is None or other is None else one / other
        for one, other in zip(small, large, strict=True)
    ]
