"""Drawings: matplotlib's own SVG, in the colours of the page's style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE = Path(__file__).parent / "templates" / "style.css"
_LIGHT = _STYLE.read_text(encoding="utf-8").partition("@media")[0]
_COLORS: dict[str, str] = dict(re.findall(r"--([\w-]+): (#\w{6});", _LIGHT))
_VARIABLES = {color: f"var(--{name})" for name, color in _COLORS.items()}

INK, MUTED, _GRID, PAPER = (_COLORS[name] for name in ("ink", "muted", "line", "card"))
SERIES = [color for name, color in _COLORS.items() if name.startswith("series-")]
"""Distinct colours; more models than these reuse them."""
MARKERS = "oDs^vPX*"

# Inches. A card of the page is about a third wider than its plot, so text comes out at 12 px or so;
# on a phone it is about as wide.
WIDTH = 4.7
NARROW = 3.9
WIDE = 8.6  # over the whole page
FONT_SIZE = 9.5

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": FONT_SIZE,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,  # a label may hold dollar signs
    "axes.labelcolor": MUTED,
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.fontsize": FONT_SIZE,
    "lines.linewidth": 1.8,
}
_XLINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawing as matplotlib wrote it, in light colours.

    Attributes:
        describe: What it shows, for those who don't see it.
        svg: A whole SVG file.
    """

    describe: str
    svg: str


def draw(
    name: str,
    paint: Callable[[Axes], None],
    *,
    height: float,
    describe: str,
    top: float = 0.1,
    width: float = WIDTH,
    left: float = 0.08,
) -> Drawing:
    """Draws one figure; margins are in inches, so that all figures line up.

    Args:
        name: Unique on the page; decides the identifiers inside.
        paint: Draws on the axes.
        height: In inches.
        describe: What the figure shows, for those who don't see it.
        top: Margin above the axes, in inches.
        width: In inches.
        left: Margin on the left, in inches; figures at the vertical axis need 0.62.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    right, bottom = 0.12, 0.5
    style: Any = {**_RC, "svg.hashsalt": name}
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc of the working folder may ask for LaTeX, which runs it
        mpl.rcParams.update(style)
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        paint(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": describe})
    return Drawing(describe=describe, svg=buffer.getvalue())


def point_style(number: int) -> dict[str, Any]:
    """Returns how a model's mark is drawn, as matplotlib takes it."""
    return {
        "color": SERIES[number % len(SERIES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 7.5,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.8,
        "linestyle": "none",
    }


def embed(drawing: Drawing, kind: str) -> Markup:
    """Returns a drawing as a part of a page, whose colours it follows, also into dark mode.

    Identifiers that nothing refers to go, since other drawings of the page have the same ones;
    the others hold a hash that is salted with the drawing's name.

    Args:
        drawing: The drawing.
        kind: Its class in the style sheet, or an empty string.
    """
    root = ElementTree.fromstring(drawing.svg)  # noqa: S314  # written by matplotlib, not read
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in {"metadata", "style"}:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        if element.tag == "g":
            element.attrib.pop("id", None)
        if _XLINK in element.attrib:
            element.set("href", element.attrib.pop(_XLINK))
        if "style" in element.attrib:
            element.set("style", _with_variables(element.attrib["style"]))
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", **({"class": kind} if kind else {})})
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  # matplotlib escapes


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _with_variables(style: str) -> str:
    """Returns a style whose known colours are the page's variables.

    Example:
        >>> _with_variables("fill: #ffffff; stroke: #123456")
        'fill: var(--card); stroke: #123456'
    """
    return re.sub(r"#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), style)
