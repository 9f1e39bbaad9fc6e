"""A result in a few lines, as a notebook shows it under a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from limbeck.report.facts import BaseReport, ModelFacts
from limbeck.report.render import render_summary


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A heading, a sentence, a table, and where the rest is.

    Attributes:
        title: Heading.
        headline: The result in a sentence.
        columns: Names of the columns.
        rows: Cells; the first names the row.
        marked: First cell of the row that stands out, or None.
        links: What else there is: word to path.

    Example:
        >>> summary = Summary(title="a < b", headline="", columns=("x",), rows=(("1",),))
        >>> "<strong>a &lt; b</strong>" in summary.to_html()
        True
    """

    title: str
    headline: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)

    def to_html(self) -> str:
        """Returns HTML that loads nothing; all that is filled in is escaped."""
        return render_summary(self)


def summarise_report(report: BaseReport) -> Summary:
    """Returns a report's headline and models."""
    return Summary(
        title=report.title,
        headline=report.headline,
        columns=("Model", "score", "kept (95 % interval)", "parameters"),
        rows=tuple(_row(model) for model in report.models),
        marked=report.student,
        links={kind: str(path) for kind, path in report.files.items() if kind == "html"},
    )


def _row(model: ModelFacts) -> tuple[str, ...]:
    kept = ""
    if model.retention is not None:
        share = model.retention
        ends = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
        kept = f"{100 * share.estimate:.1f} % ({ends})"
    return (model.label, f"{model.scores.mean:.4f}", kept, f"{model.num_parameters:,}")
