"""A report as one HTML page that loads nothing: style, tables and plots are inside."""

from __future__ import annotations

from html import escape

from limbeck.report import page, plots, tables, wording
from limbeck.report.facts import Report
from limbeck.report.tables import Table


def render_html(report: Report) -> str:
    """Returns the report as one self-contained page."""
    body = [
        _head(report),
        _tiles(report),
        page.findings(report.comparisons),
        _results(report),
        _costs(report),
        _distillation(report),
        page.method(report.notes, report.conditions),
    ]
    return page.render_page(report.title, body)


def _head(report: Report) -> str:
    parts = [
        f'<p class="over">{escape(report.title)}</p>',
        f"<h1>{page.prose(report.headline)}</h1>",
    ]
    if report.student is not None:
        baselines = [c for c in report.comparisons if c.reference_role == "baseline"]
        parts.append(f"<p>{escape(wording.describe_baselines(baselines))}</p>")
    return f"<header>{''.join(parts)}</header>"


def _tiles(report: Report) -> str:
    """Returns the student's main figures in large type."""
    if report.student is None:
        return ""
    student, teacher = report.model(report.student), report.model(report.teacher)
    metric = wording.metric_name(report.metric)
    found = []
    if student.retention is not None:
        share = student.retention
        found.append(
            (
                f"of the teacher's {metric}",
                f"{wording.points(share.estimate)} %",
                f"95 % interval {wording.interval(share)}",
            )
        )
    found.append(
        (
            f"{metric} on {report.split}",
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


def _results(report: Report) -> str:
    metric = wording.metric_name(report.metric)
    axis = (
        "latency"
        if all(model.speed is not None for model in report.models)
        else "number of parameters"
    )
    bars = "bars: one standard error of the score" + (
        ", quartiles of the latency." if axis == "latency" else "."
    )
    comparison = tables.comparison_table(report.comparisons)
    return page.section(
        "What was kept",
        _table(tables.quality_table(report), report),
        page.legend([model.label for model in report.models]),
        page.plots(
            (
                f"{metric} and {axis}",
                plots.score_plot(report.models, metric=report.metric, split=report.split),
                f"Up and left is better; {bars}",
            ),
            (
                "Differences to the student",
                plots.difference_plot(report),
                "An interval that takes in 0 shows no difference.",
            ),
            (
                "Every seed",
                plots.seeds_plot(report.models, metric=report.metric, split=report.split),
                "The upright bar is the mean over seeds.",
            ),
            (
                "Size on disk",
                plots.size_plot(report.models),
                "Weights as saved, the task's head included.",
            ),
        ),
        page.details(
            "Paired differences, in figures", _table(comparison, report) if comparison else ""
        ),
        page.details("Every seed, in figures", _table(tables.seeds_table(report), report)),
    )


def _costs(report: Report) -> str:
    return page.section("What it costs", _table(tables.cost_table(report.models), report))


def _distillation(report: Report) -> str:
    found = report.distillation
    if found is None:
        return ""
    facts = [f"{wording.count(found.num_steps)} steps"]
    if found.num_tokens is not None:
        facts.append(f"{wording.magnitude(found.num_tokens)} tokens")
    if found.elapsed_seconds is not None:
        facts.append(wording.duration(found.elapsed_seconds))
    state = "" if found.is_complete else " The run has not finished."
    table = tables.distillation_table(found)
    return page.section(
        "The distillation on running text",
        f"<p>{escape(', '.join(facts))}.{state} Figures are on text that was held out.</p>",
        _table(table, report) if table else "",
        page.plots(
            ("Agreement", plots.agreement_plot(found), "Over masked tokens; cosine over all."),
            ("Held-out loss", plots.held_out_plot(found), "Lower is better."),
            ("Training loss", plots.training_plot(found), "Its terms are shown unweighted."),
            small=True,
        ),
    )


def _table(table: Table, report: Report) -> str:
    return page.table(table, labels=[model.label for model in report.models], marked=report.student)
