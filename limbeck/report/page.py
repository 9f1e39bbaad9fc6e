"""Parts of a self-contained HTML page: the shell, sections, tables, tiles, legends, plots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from limbeck.report import svg, wording
from limbeck.report.facts import Comparison, ModelFacts
from limbeck.report.style import STYLE
from limbeck.report.tables import Table

_LONGEST_FIGURE = 40  # characters of a cell that is not words
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


def render_page(title: str, parts: Sequence[str]) -> str:
    """Returns a page that loads nothing; empty parts are left out."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def tiles(found: Sequence[tuple[str, str, str]]) -> str:
    """Returns figures in large type: each a name, the figure, and more on it."""
    shown = [
        f'<div class="tile"><div class="figure">{escape(figure)}</div>'
        f'<div class="name">{escape(name)}</div><div class="more">{prose(more)}</div></div>'
        for name, figure, more in found
    ]
    return f'<div class="tiles">{"".join(shown)}</div>'


def speed_tile(student: ModelFacts, teacher: ModelFacts) -> list[tuple[str, str, str]]:
    """Returns the tile of a student's speed; none where it was not measured."""
    if student.speed_up is None or student.speed is None or teacher.speed is None:
        return []
    own, other = student.speed.latency_ms.median, teacher.speed.latency_ms.median
    ratio = student.speed_up.latency
    more = (
        f"quartiles {ratio.lower:.2f} to {ratio.upper:.2f}; median latency "
        f"{wording.milliseconds(own)} against {wording.milliseconds(other)}. "
        f"{wording.PAIRED_RATIOS}"
    )
    return [("the teacher's speed, batch 1", f"{ratio.median:.2f}×", more)]


def findings(comparisons: Sequence[Comparison]) -> str:
    """Returns what the comparisons show, one a line."""
    items = [
        f'<li><span class="finding {escape(c.verdict.replace(" ", "-"))}">'
        f"{escape(c.verdict.capitalize())}</span><span>{prose(c.text)}</span></li>"
        for c in comparisons
    ]
    return f'<ul class="findings">{"".join(items)}</ul>' if items else ""


def method(notes: Sequence[str], conditions: Mapping[str, str]) -> str:
    """Returns the section on how the figures were obtained."""
    items = "".join(f"<li>{prose(note)}</li>" for note in notes)
    pairs = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in conditions.items()
    )
    return section(
        "How this was measured",
        f"<details open><summary>Method</summary><ul>{items}</ul></details>",
        details("Machine, versions, runs", f"<dl>{pairs}</dl>" if pairs else ""),
    )


def section(title: str, *parts: str) -> str:
    """Returns a section under its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def details(title: str, content: str) -> str:
    """Returns content that opens on a click; nothing if there is none."""
    if not content:
        return ""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def table(table: Table, *, labels: Sequence[str], marked: str | None) -> str:
    """Returns a table; rows of models carry the model's key.

    Args:
        table: The table.
        labels: The models in the order of their keys.
        marked: The model whose row stands out, or None.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = []
    for first, *others in table.rows:
        sign = key(labels.index(first)) if first in labels else ""
        is_marked = ' class="student"' if first == marked else ""
        cells = "".join(map(_cell, others))
        rows.append(f"<tr{is_marked}><td>{sign}{escape(first)}</td>{cells}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def _cell(text: str) -> str:
    """Returns a cell with its bracket, if any, on a line of its own; sentences run on."""
    if len(text) > _LONGEST_FIGURE:
        return f'<td class="words">{escape(text)}</td>'
    figure, bracket, rest = text.partition(" (")
    below = f'<br><span class="sub">({escape(rest)}</span>' if bracket else ""
    return f"<td>{escape(figure)}{below}</td>"


def prose(text: str) -> str:
    """Returns text for HTML in which figures stay on one line with their units."""
    return escape(re.sub(r" (?=%|=|ms\b|MB\b)|(?<==) ", "\u00a0", text))


def legend(labels: Sequence[str]) -> str:
    """Returns the models with their keys, for the plots below."""
    items = [f"<span>{key(number)}{escape(label)}</span>" for number, label in enumerate(labels)]
    return f'<div class="legend">{"".join(items)}</div>'


def key(number: int) -> str:
    """Returns the mark that a model has in the plots."""
    marker = _MARKER_PATHS[svg.MARKERS[number % len(svg.MARKERS)]]
    color = f"var(--series-{number % svg.NUM_SERIES})"
    return f'<svg class="key" viewBox="0 0 14 14" fill="{color}" aria-hidden="true">{marker}</svg>'


def plots(*figures: tuple[str, str | None, str], small: bool = False) -> str:
    """Returns drawings as cards: each a title, the drawing if there is one, and a caption."""
    cards = [
        f'<figure class="card"><h3>{escape(title[:1].upper() + title[1:])}</h3>{drawing}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for title, drawing, caption in figures
        if drawing is not None
    ]
    kind = "plots small" if small else "plots"
    return f'<div class="{kind}">{"".join(cards)}</div>' if cards else ""
