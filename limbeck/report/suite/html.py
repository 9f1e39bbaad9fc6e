"""A suite's report as one HTML page that loads nothing."""

from __future__ import annotations

from html import escape

from limbeck.report import page, wording
from limbeck.report.plots import score_plot, seeds_plot
from limbeck.report.suite import plots, tables
from limbeck.report.suite.facts import SuiteReport
from limbeck.report.tables import Table, comparison_table, cost_table


def render_html(report: SuiteReport) -> str:
    """Returns the report as one self-contained page."""
    parts = [
        _head(report),
        _tiles(report),
        page.findings(report.comparisons),
        _kept(report),
        _tasks(report),
        page.section("What it costs", _table(cost_table(report.models), report)),
        page.method(report.notes, report.conditions),
    ]
    return page.render_page(report.title, parts)


def _head(report: SuiteReport) -> str:
    parts = [
        f'<p class="over">{escape(report.title)}</p>',
        f"<h1>{page.prose(report.headline)}</h1>",
    ]
    if report.student is not None:
        baselines = [c for c in report.comparisons if c.reference_role == "baseline"]
        parts.append(f"<p>{escape(wording.describe_baselines(baselines))}</p>")
    parts += [f"<p>{escape(text)}</p>" for text in report.warnings]
    return f"<header>{''.join(parts)}</header>"


def _tiles(report: SuiteReport) -> str:
    """Returns the main figures of the headline's student in large type."""
    if report.student is None:
        return ""
    student, teacher = report.model(report.student), report.model(report.teacher)
    found = []
    if student.retention is not None:
        share = student.retention
        found.append(
            (
                "of the teacher's average",
                f"{wording.points(share.estimate)} %",
                f"95 % interval {wording.interval(share)}",
            )
        )
    found.append(
        (
            f"average over {len(report.averaged)} tasks",
            wording.points(student.scores.mean),
            f"teacher {wording.points(teacher.scores.mean)}",
        )
    )
    found += page.speed_tile(student, teacher)
    found.append(
        (
            "weight file",
            wording.file_size(student.file_bytes),
            (
                f"teacher {wording.file_size(teacher.file_bytes)}; "
                f"{student.num_layers} of {teacher.num_layers} layers"
            ),
        )
    )
    return page.tiles(found)


def _kept(report: SuiteReport) -> str:
    retention = tables.retention_table(report)
    differences = comparison_table(report.comparisons)
    has_speed = all(model.speed is not None for model in report.models)
    axis = "latency" if has_speed else "number of parameters"
    return page.section(
        "What was kept",
        _table(tables.average_table(report), report),
        _legend(report),
        page.plots(
            (
                "Retention on each task",
                plots.retention_plot(report),
                (
                    "An interval that takes in 100 % shows no difference to the teacher. Intervals "
                    "that leave the picture are cut off; the table has them."
                ),
            ),
        ),
        _table(retention, report) if retention else "",
        _legend(report),
        page.plots(
            (
                f"average and {axis}",
                score_plot(report.models, metric="macro_average", split=report.split),
                "Up and left is better; bars: one standard error of the average"
                + (", quartiles of the latency." if has_speed else "."),
            ),
            (
                "Average of every seed",
                seeds_plot(report.models, metric="macro_average", split=report.split),
                "The upright bar is the mean over seeds.",
            ),
        ),
        page.details(
            "Paired differences of the averages, in figures",
            _table(differences, report) if differences else "",
        ),
    )


def _tasks(report: SuiteReport) -> str:
    findings = tables.findings_table(report)
    absent = tables.absent_table(report)
    return page.section(
        "Score on each task",
        _table(tables.score_table(report), report),
        _legend(report),
        page.plots(
            (
                "Every seed on each task",
                plots.task_scores_plot(report),
                "The upright bar is the median over seeds.",
            ),
        ),
        f"<h3>What is missing</h3>{_table(absent, report)}" if absent else "",
        page.details(
            "Paired differences on each task", _table(findings, report) if findings else ""
        ),
        page.details("Every seed, in figures", _table(tables.seeds_table(report), report)),
        page.details("Sources of the published figures", _sources(report)),
    )


def _sources(report: SuiteReport) -> str:
    items = [
        f"<li>{escape(found.name)}: {page.prose(found.source)}</li>" for found in report.published
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _legend(report: SuiteReport) -> str:
    return page.legend([model.label for model in report.models])


def _table(table: Table, report: SuiteReport) -> str:
    return page.table(table, labels=[model.label for model in report.models], marked=report.student)
