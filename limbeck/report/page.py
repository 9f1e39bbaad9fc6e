"""What a page says, before it is HTML or Markdown: one value that every kind of report makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from limbeck.report.drawing import Drawing


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure in large type.

    Attributes:
        figure: Such as `97.3 %`.
        name: What it is.
        more: Its interval, what it is to be held against.
    """

    figure: str
    name: str
    more: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one comparison shows.

    Attributes:
        verdict: In a word or two; decides the colour.
        text: In a sentence, with the figures.
    """

    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first column names the row.

    Attributes:
        title: Heading.
        columns: Names of the columns.
        rows: Cells. Where the first is the label of a model, HTML shows the model's mark beside it.
        note: A sentence on how to read it, or an empty string.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing on a card.

    Attributes:
        title: Heading.
        drawing: The drawing.
        caption: How to read it.
        narrow: The same for a phone, where the drawing is too wide for one.
    """

    title: str
    drawing: Drawing
    caption: str
    narrow: Drawing | None = None


@dataclass(frozen=True, kw_only=True)
class Plots:
    """Drawings side by side; Markdown, which can't hold them, leaves them out.

    Attributes:
        plots: The drawings.
        has_legend: Whether the models' marks are explained above.
        is_small: Whether three fit into a row.
    """

    kind: ClassVar[str] = "plots"
    plots: tuple[Plot, ...]
    has_legend: bool = False
    is_small: bool = False


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A paragraph."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True, kw_only=True)
class Items:
    """Sentences, one a line."""

    kind: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Names, each with what is to be said of it."""

    kind: ClassVar[str] = "terms"
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A part that opens on a click.

    Attributes:
        title: What is in it.
        block: The part.
        is_open: Whether it is open to begin with.
    """

    kind: ClassVar[str] = "fold"
    title: str
    block: Table | Items | Terms
    is_open: bool = False


Block = Table | Plots | Paragraph | Fold


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page under its heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing in a file beside the page, for Markdown to show.

    Attributes:
        file: Name of the file.
        drawing: What it holds.
    """

    file: str
    drawing: Drawing


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a page says, in order.

    Attributes:
        title: Of the page.
        headline: The result in a sentence or two.
        remarks: What belongs beside the headline, a paragraph each.
        tiles: The main figures.
        findings: What the comparisons show.
        sections: The rest.
        models: Labels of the models, in the order of their marks.
        marked: Label of the model whose rows stand out, or None.
        picture: What Markdown shows under the headline, or None.
    """

    title: str
    headline: str
    remarks: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    findings: tuple[Finding, ...] = ()
    sections: tuple[Section, ...] = field(default=())
    models: tuple[str, ...] = ()
    marked: str | None = None
    picture: Picture | None = None
