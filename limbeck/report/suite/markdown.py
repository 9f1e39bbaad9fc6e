"""A suite's report as Markdown."""

from __future__ import annotations

from limbeck.report import wording
from limbeck.report.markdown import escape, render_table
from limbeck.report.suite.facts import SuiteReport
from limbeck.report.suite.tables import suite_tables


def render_markdown(report: SuiteReport) -> str:
    """Returns the report as one Markdown text."""
    baselines = [c for c in report.comparisons if c.reference_role == "baseline"]
    parts = [f"# {escape(report.title)}", f"**{escape(report.headline)}**"]
    if report.student is not None:
        parts.append(escape(wording.describe_baselines(baselines)))
    parts += [escape(text) for text in report.warnings]
    parts.append("\n".join(f"- {escape(c.text)}" for c in report.comparisons))
    parts += [render_table(table) for table in suite_tables(report)]
    parts.append("## How this was measured")
    parts.append("\n".join(f"- {escape(note)}" for note in report.notes))
    parts.append(
        "\n".join(
            f"- Published figures of {escape(found.name)}: {escape(found.source)}"
            for found in report.published
        )
    )
    parts.append(
        "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in report.conditions.items())
    )
    return "\n\n".join(part for part in parts if part) + "\n"
