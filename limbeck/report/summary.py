"""A result in a few lines, as a notebook shows it under a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
