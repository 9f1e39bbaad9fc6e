"""A report as one HTML page that loads nothing: style, tables and plots are inside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from limbeck.report import plots, svg, tables, wording
from limbeck.report.facts import Comparison, Report
from limbeck.report.style import STYLE
from limbeck.report.tables import Table

_MARKER_PATHS = {
    "o": '<circle cx="7" cy="7" r="5.5"/>',
    "D": '<path d="M7 .8 13.2 7 7 13.2 .8 7z"/>',
    "s": '<path d="M2 2h10v10H2z"/>',
    "^": '<path d="M7 1.2 13 12H1z"/>',
    "v": '<path d="M7 12.8 1 2h12z"/>',
    "P": '<path d="M5 1h4v4h4v4H9v4H5V9H1V5h4z"/>',
    "X": '<path d="M4 1 7 4l3-3 3 3-3 3 3 3-3 3-3-3-3 3-3-3 3-3-3-3z"/>',
    "*": '<path d="m7 .5 2 4.3 4.6.6-3.4 3.2.9 4.7L7 11l-4.1 2.3.9-4.7L.4 5.4 5 4.8z"/>',
}


def render_html(report: Report) -> str:
    """Returns the report as one self-contained page."""
    body = [
        _head(report),
        _tiles(report),
        _findings(report.comparisons),
        _results(report),
        _costs(report),
        _distillation(report),
        _method(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    parts = [
        f'<p class="over">{escape(report.title)}</p>',
        f"<h1>{_prose(report.headline)}</h1>",
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
    if student.speed_up is not None and student.speed is not None and teacher.speed is not None:
        found.append(
            (
                "the teacher's speed, batch 1",
                f"{student.speed_up.latency.median:.2f}×",
                (
                    f"{wording.milliseconds(student.speed.latency_ms.median)} against "
                    f"{wording.milliseconds(teacher.speed.latency_ms.median)}"
                ),
            )
        )
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
    tiles = [
        f'<div class="tile"><div class="figure">{escape(figure)}</div>'
        f'<div class="name">{escape(name)}</div><div class="more">{_prose(more)}</div></div>'
        for name, figure, more in found
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _findings(comparisons: Sequence[Comparison]) -> str:
    items = [
        f'<li><span class="finding {escape(c.verdict.replace(" ", "-"))}">'
        f"{escape(c.verdict.capitalize())}</span><span>{_prose(c.text)}</span></li>"
        for c in comparisons
    ]
    return f'<ul class="findings">{"".join(items)}</ul>' if items else ""


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
    comparison = tables.comparison_table(report)
    return _section(
        "What was kept",
        _table(tables.quality_table(report), report),
        _legend(report),
        _plots(
            (f"{metric} and {axis}", plots.score_plot(report), f"Up and left is better; {bars}"),
            (
                "Differences to the student",
                plots.difference_plot(report),
                "An interval that takes in 0 shows no difference.",
            ),
            ("Every seed", plots.seeds_plot(report), "The upright bar is the mean over seeds."),
            (
                "Size on disk",
                plots.size_plot(report),
                "Weights as saved, the task's head included.",
            ),
        ),
        _details(
            "Paired differences, in figures", _table(comparison, report) if comparison else ""
        ),
        _details("Every seed, in figures", _table(tables.seeds_table(report), report)),
    )


def _costs(report: Report) -> str:
    return _section("What it costs", _table(tables.cost_table(report), report))


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
    return _section(
        "The distillation on running text",
        f"<p>{escape(', '.join(facts))}.{state} Figures are on text that was held out.</p>",
        _table(table, report) if table else "",
        _plots(
            ("Agreement", plots.agreement_plot(found), "Over masked tokens; cosine over all."),
            ("Held-out loss", plots.held_out_plot(found), "Lower is better."),
            ("Training loss", plots.training_plot(found), "Its terms are shown unweighted."),
            small=True,
        ),
    )


def _method(report: Report) -> str:
    notes = "".join(f"<li>{_prose(note)}</li>" for note in report.notes)
    conditions = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in report.conditions.items()
    )
    return _section(
        "How this was measured",
        f"<details open><summary>Method</summary><ul>{notes}</ul></details>",
        _details("Machine, versions, runs", f"<dl>{conditions}</dl>" if conditions else ""),
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _details(title: str, content: str) -> str:
    if not content:
        return ""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _table(table: Table, report: Report) -> str:
    """Returns a table; rows of models carry the model's key."""
    numbers = {model.label: number for number, model in enumerate(report.models)}
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = []
    for first, *others in table.rows:
        number = numbers.get(first)
        key = "" if number is None else _key(number)
        marked = ' class="student"' if first == report.student else ""
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in others)
        rows.append(f"<tr{marked}><td>{key}{escape(first)}</td>{cells}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def _cell(text: str) -> str:
    """Returns a cell with its bracket, if any, on a line of its own."""
    figure, bracket, rest = text.partition(" (")
    return escape(figure) + (f'<br><span class="sub">({escape(rest)}</span>' if bracket else "")


def _prose(text: str) -> str:
    """Returns text for HTML in which figures stay on one line with their units."""
    return escape(re.sub(r" (?=%|=|ms\b|MB\b)|(?<==) ", "\u00a0", text))


def _legend(report: Report) -> str:
    items = [
        f"<span>{_key(number)}{escape(model.label)}</span>"
        for number, model in enumerate(report.models)
    ]
    return f'<div class="legend">{"".join(items)}</div>'


def _key(number: int) -> str:
    marker = _MARKER_PATHS[svg.MARKERS[number % len(svg.MARKERS)]]
    color = f"var(--series-{number % svg.NUM_SERIES})"
    return f'<svg class="key" viewBox="0 0 14 14" fill="{color}" aria-hidden="true">{marker}</svg>'


def _plots(*figures: tuple[str, str | None, str], small: bool = False) -> str:
    cards = [
        f'<figure class="card"><h3>{escape(title[:1].upper() + title[1:])}</h3>{drawing}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for title, drawing, caption in figures
        if drawing is not None
    ]
    kind = "plots small" if small else "plots"
    return f'<div class="{kind}">{"".join(cards)}</div>' if cards else ""
