"""The tables of a suite's report, as text, the same in Markdown and HTML."""

from __future__ import annotations

from limbeck.report import wording
from limbeck.report.facts import ModelFacts, Scores
from limbeck.report.statistics import Interval
from limbeck.report.suite.facts import SuiteReport, TaskFacts
from limbeck.report.suite.published import Published
from limbeck.report.tables import NONE, Table, comparison_table, cost_table

AVERAGE = "Average"


def average_table(report: SuiteReport) -> Table:
    """Returns what each model reaches on the macro average, and what it kept."""
    return Table(
        title="What was kept",
        columns=(
            "Model",
            "Average, mean",
            "Standard error",
            "Retention (95 % interval)",
            "Average of medians",
            "Lowest to highest seed",
            "Fine-tuning, all runs",
            "Role",
        ),
        rows=tuple(_average_row(model) for model in report.models),
        note=(
            f"Macro average over {len(report.averaged)} tasks ({', '.join(report.averaged)}), "
            f"{report.split}, each task's main metric counting alike. Retention is the mean "
            "over seeds divided by the teacher's."
        ),
    )


def score_table(report: SuiteReport) -> Table:
    """Returns each task's median and range for every model, with the published figures."""
    rows = [
        (
            describe_task(task),
            wording.count(task.num_examples),
            *(_score_cell(task.find(model.label)) for model in report.models),
            *(_published_cell(found, task.name) for found in report.published),
        )
        for task in report.tasks
    ]
    averages = (found.average(report.averaged) for found in report.published)
    rows.append(
        (
            f"{AVERAGE} of {len(report.averaged)}",
            wording.count(report.num_examples),
            *(wording.points(model.scores.median) for model in report.models),
            *(NONE if value is None else wording.points(value) for value in averages),
        )
    )
    note = f"Median over seeds on {report.split}, lowest to highest seed in brackets."
    if report.published:
        note += (
            " Columns marked as published are other people's figures with other fine-tuning code, "
            "and sometimes another metric; their average is over the same tasks or not given. "
            "Ratios compare, scores hardly do."
        )
    return Table(
        title="Score on each task",
        columns=(
            "Task",
            "Examples",
            *(model.label for model in report.models),
            *(f"Published: {found.name}" for found in report.published),
        ),
        rows=tuple(rows),
        note=note,
    )


def retention_table(report: SuiteReport) -> Table | None:
    """Returns what each model kept of the teacher's score on each task; None without others."""
    others = [model for model in report.models if model.label != report.teacher]
    if not others:
        return None
    ratio = _published_ratio(report)
    note = (
        "Mean score over seeds divided by the teacher's, with the 95 % bootstrap interval over "
        "examples and seeds; an interval that takes in 100 shows no difference to the teacher."
    )
    bare = [task.name for task in report.tasks if _lacks_share(task, report.teacher)]
    if bare:
        note += f" None is given on {', '.join(bare)}, where the teacher's own score may be 0."
    rows = []
    for task in report.tasks:
        found = [task.find(model.label) for model in others]
        cells = [NONE if model is None else _share(model.retention) for model in found]
        rows.append((describe_task(task), *cells, *([ratio[task.name]] if ratio else [])))
    average = [_share(model.retention) for model in others]
    rows.append(
        (
            f"{AVERAGE} of {len(report.averaged)}",
            *average,
            *([ratio[AVERAGE]] if ratio else []),
        )
    )
    published = ("Published: DistilBERT / BERT-base",) if ratio else ()
    return Table(
        title="Retention on each task",
        columns=("Task", *(model.label for model in others), *published),
        rows=tuple(rows),
        note=note,
    )


def _lacks_share(task: TaskFacts, teacher: str) -> bool:
    """Tells whether a task's metric has intervals, and its teacher no score to take a share of."""
    has_intervals = all(model.scores.standard_error is not None for model in task.models)
    shares = [model.retention for model in task.models if model.label != teacher]
    return has_intervals and bool(shares) and not any(shares)


def seeds_table(report: SuiteReport) -> Table:
    """Returns every seed's score of every model on every task."""
    found = {seed for task in report.tasks for model in task.models for seed in model.scores.seeds}
    seeds = sorted(found, key=lambda seed: (seed is not None, seed or 0))
    rows = []
    for task in report.tasks:
        for model in task.models:
            by_seed = dict(zip(model.scores.seeds, model.scores.values, strict=True))
            cells = [wording.points(by_seed[s]) if s in by_seed else NONE for s in seeds]
            agrees = model.agreement_with_teacher
            shown = NONE if agrees is None else f"{wording.points(agrees)} %"
            rows.append((f"{task.name}: {model.label}", *cells, shown))
    return Table(
        title="Every seed",
        columns=(
            "Task and model",
            *("As given" if seed is None else f"Seed {seed}" for seed in seeds),
            "Agrees with teacher",
        ),
        rows=tuple(rows),
        note=f"Each task's main metric on {report.split}.",
    )


def findings_table(report: SuiteReport) -> Table | None:
    """Returns what each task's comparisons show; None if there are none."""
    rows = [
        (
            f"{task.name}: {c.model} − {c.reference}",
            NONE if c.paired is None else wording.points(c.paired.difference.estimate, signed=True),
            NONE if c.paired is None else wording.interval(c.paired.difference, signed=True),
            c.verdict,
        )
        for task in report.tasks
        for c in task.comparisons
    ]
    if not rows:
        return None
    return Table(
        title="Paired differences on each task",
        columns=("Difference", "Points", "95 % interval", "Finding"),
        rows=tuple(rows),
        note="One comparison each: of twenty without a difference, one finds one by chance.",
    )


def absent_table(report: SuiteReport) -> Table | None:
    """Returns what is not in the report, and why; None if all is."""
    rows = [(name, "no data", reason) for name, reason in report.missing.items()]
    rows += [(name, "failed", reason) for name, reason in report.failures.items()]
    if not rows:
        return None
    return Table(title="What is missing", columns=("Task", "State", "Why"), rows=tuple(rows))


def suite_tables(report: SuiteReport) -> list[Table]:
    """Returns all tables, in order."""
    tables = [
        average_table(report),
        retention_table(report),
        score_table(report),
        comparison_table(report.comparisons),
        cost_table(report.models),
        absent_table(report),
        findings_table(report),
        seeds_table(report),
    ]
    return [table for table in tables if table is not None]


def describe_task(task: TaskFacts) -> str:
    """Returns a task with its metric in short, such as `cola, Matthews`."""
    return f"{task.name}, {wording.short_metric_name(task.metric)}"


def _average_row(model: ModelFacts) -> tuple[str, ...]:
    scores: Scores = model.scores
    error, time = scores.standard_error, model.training_seconds
    return (
        model.label,
        wording.points(scores.mean),
        NONE if error is None else wording.points(error),
        _share(model.retention),
        wording.points(scores.median),
        f"{wording.points(scores.lowest)} to {wording.points(scores.highest)}",
        NONE if time is None else wording.duration(time),
        model.role,
    )


def _share(share: Interval | None) -> str:
    if share is None:
        return NONE
    return f"{wording.points(share.estimate)} % ({wording.interval(share)})"


def _score_cell(model: ModelFacts | None) -> str:
    if model is None:
        return NONE
    scores = model.scores
    median = wording.points(scores.median)
    if len(scores.values) == 1:
        return median
    return f"{median} ({wording.points(scores.lowest)} to {wording.points(scores.highest)})"


def _published_cell(found: Published, task: str) -> str:
    return wording.points(found.scores[task]) if task in found.scores else NONE


def _published_ratio(report: SuiteReport) -> dict[str, str]:
    """Returns DistilBERT's published scores over those of BERT-base; empty if there are none."""
    by_name = {found.name: found for found in report.published}
    if not {"BERT-base", "DistilBERT"} <= set(by_name):
        return {}
    small, large = by_name["DistilBERT"], by_name["BERT-base"]
    cells = {
        task.name: f"{wording.points(small.scores[task.name] / large.scores[task.name])} %"
        if task.name in small.scores and task.name in large.scores
        else NONE
        for task in report.tasks
    }
    averages = small.average(report.averaged), large.average(report.averaged)
    cells[AVERAGE] = NONE
    if averages[0] is not None and averages[1] is not None:
        cells[AVERAGE] = f"{wording.points(averages[0] / averages[1])} %"
    return cells
