"""A report as Markdown."""

from __future__ import annotations

import re

from limbeck.report import wording
from limbeck.report.facts import Report
from limbeck.report.tables import Table, report_tables


def render_markdown(report: Report) -> str:
    """Returns the report as one Markdown text."""
    baselines = [c for c in report.comparisons if c.reference_role == "baseline"]
    parts = [f"# {escape(report.title)}", f"**{escape(report.headline)}**"]
    if report.student is not None:
        parts.append(escape(wording.describe_baselines(baselines)))
    if report.comparisons:
        parts.append("\n".join(f"- {escape(c.text)}" for c in report.comparisons))
    parts += [render_table(table) for table in report_tables(report)]
    parts.append("## How this was measured")
    parts.append("\n".join(f"- {escape(note)}" for note in report.notes))
    parts.append(
        "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in report.conditions.items())
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    r"""Returns text with the characters that Markdown or HTML would read made plain.

    Example:
        >>> print(escape("a|b *c* <d>"))
        a\|b \*c\* &lt;d>
    """
    plain = re.sub(r"([\\|*`\[\]])", r"\\\1", text.replace("\n", " "))
    return plain.replace("&", "&amp;").replace("<", "&lt;")


def render_table(table: Table) -> str:
    """Returns a table under its heading."""
    lines = [
        f"## {escape(table.title)}",
        "",
        _line(table.columns),
        "|" + "|".join([" --- ", *[" ---: "] * (len(table.columns) - 1)]) + "|",
        *[_line(row) for row in table.rows],
    ]
    if table.note:
        lines += ["", escape(table.note)]
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"
