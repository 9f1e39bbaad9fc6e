"""Drawings as SVG that take their colours from the page, and so follow its dark mode."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from limbeck.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUM_SERIES = 8
"""Distinct colours and markers; more models than these reuse them."""

MARKERS = "oDs^vPX*"

# Matplotlib draws with these stand-ins, which the SVG then has as the page's CSS variables.
INK, MUTED, _GRID, PAPER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
SERIES = [f"#0a0b1{number}" for number in range(NUM_SERIES)]
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    _GRID: "var(--line)",
    PAPER: "var(--card)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES)},
}

# Inches. A card of the page is about a third wider than its plot, so text comes out at 12 px or so;
# on a phone it is about as wide.
WIDTH = 4.7
NARROW = 3.9
WIDE = 8.6  # over the whole page
FONT_SIZE = 9.5


def draw_svg(
    name: str,
    draw: Callable[[Axes], None],
    *,
    height: float,
    describe: str,
    top: float = 0.1,
    width: float = WIDTH,
    left: float | None = None,
    has_ticks: bool = False,
) -> str:
    """Draws one figure; margins are in inches, so that all figures line up.

    Args:
        name: Unique on the page; decides the identifiers inside.
        draw: Draws on the axes.
        height: In inches.
        describe: What the figure shows, for those who don't see it.
        top: Margin above the axes, in inches.
        width: In inches.
        left: Margin on the left, in inches; by default what `has_ticks` needs.
        has_ticks: Whether the vertical axis has figures and needs room for them.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
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
        "grid.color": _GRID,
        "grid.linewidth": 0.7,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "legend.fontsize": FONT_SIZE,
        "lines.linewidth": 1.8,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height))
        figure.patch.set_alpha(0)
        right, bottom = 0.12, 0.5
        if left is None:
            left = 0.62 if has_ticks else 0.08
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        axes.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    kind = ' class="wide"' if width >= WIDE else ""
    return _embed(buffer.getvalue(), name=name, describe=describe, kind=kind)


def point_style(number: int) -> dict[str, Any]:
    """Returns how a model's mark is drawn, as matplotlib takes it."""
    return {
        "color": SERIES[number % NUM_SERIES],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 7.5,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.8,
        "linestyle": "none",
    }


def make_standalone(drawing: str) -> str:
    """Returns a drawing of `draw_svg` as a file of its own, in the page's light colours."""
    light = STYLE.partition("@media")[0]
    colors = dict(re.findall(r"--([\w-]+): (#\w+);", light))
    text = re.sub(r"var\(--([\w-]+)\)", lambda found: colors[found[1]], drawing)
    return re.sub(
        r"<svg (viewBox=\"0 0 [^\"]+\"[^>]*>)",
        lambda found: (
            f'<svg xmlns="http://www.w3.org/2000/svg" {found[1]}'
            f'<rect width="100%" height="100%" fill="{colors["card"]}"/>'
        ),
        text,
        count=1,
    )


def _embed(svg: str, *, name: str, describe: str, kind: str) -> str:
    """Makes a drawing part of a page: no header, no foreign names, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    size = re.search(r'viewBox="([^"]+)"', svg)
    assert size is not None
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg viewBox="{size.group(1)}"{kind} role="img" aria-label="{html.escape(describe)}">',
        svg,
        count=1,
    )
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg
