"""The page of a search for a smaller model, and the plot of score and latency."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from limbeck.report import figures, wording
from limbeck.report.compression import (
    Compression,
    describe_test,
    format_percent,
    headline,
    tried_table,
)
from limbeck.report.drawing import MUTED, WIDTH, Drawing, draw, point_style
from limbeck.report.labels import name_points
from limbeck.report.page import Fold, Page, Picture, Plot, Plots, Section, Terms, Tile
from limbeck.report.parts import cost_tiles, method_section, score_tile
from limbeck.report.plots import across_label, place_across
from limbeck.report.render import write_page
from limbeck.report.training import find_inequality_among

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Across = Literal["latency", "parameters"]

_WIDE = 6.4  # inches
_NAME = "compress"
FILES = {kind: f"{_NAME}.{kind}" for kind in ("md", "html", "svg")}
"""What is written, by kind."""


def write_compression(compression: Compression, out: Path) -> None:
    """Writes `FILES` into a folder."""
    write_page(make_page(compression), out, name=_NAME)


def make_page(compression: Compression) -> Page:
    """Returns what a search's page says."""
    labels = tuple(model.label for model in compression.models)
    test = describe_test(compression)
    name = f"{compression.name}, made smaller for {compression.task}"
    plots = (
        Plot(
            title="Score and latency",
            drawing=draw_trade_off(compression, "latency"),
            caption=(
                "Up and left is better; on or above the line it is enough. Bars: quartiles of the "
                "latency, lowest to highest seed."
            ),
        ),
        Plot(
            title="Score and size",
            drawing=draw_trade_off(compression, "parameters"),
            caption="Of the models on or above the line, the leftmost is chosen.",
        ),
    )
    unequal = find_inequality_among(compression.candidates)
    notes = list(compression.notes)
    if unequal is not None:
        notes.insert(
            0,
            f"The students were not trained alike ({unequal}), so what one of them keeps beside "
            "another is not of like with like.",
        )
    made = Terms(terms=tuple((label, compression.how[label]) for label in labels))
    table = tried_table(compression)
    blocks = (Plots(plots=plots), table, Fold(title="How each was made", block=made))
    return Page(
        title=name,
        headline=headline(compression),
        remarks=() if test is None else (test,),
        tiles=_tiles(compression),
        sections=(
            Section(title=table.title, blocks=blocks),
            method_section(notes, compression.conditions),
        ),
        models=labels,
        marked=compression.chosen,
        picture=Picture(
            file=FILES["svg"], drawing=draw_trade_off(compression, "latency", width=_WIDE)
        ),
    )


def draw_trade_off(compression: Compression, across: Across, *, width: float = WIDTH) -> Drawing:
    """Draws every model's score against its latency or size, with the share asked for as a line.

    Args:
        compression: The outcome.
        across: What the horizontal axis shows.
        width: In inches.
    """
    wanted = 100 * compression.retain * compression.teacher.scores.median
    by_latency = across == "latency"

    def paint(axes: Axes) -> None:
        axes.axhline(wanted, color=MUTED, linestyle=(0, (5, 3)), linewidth=1.3, zorder=1)
        axes.annotate(
            f"{format_percent(compression.retain)} of the teacher",
            (0, wanted),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            color=MUTED,
        )
        points = []
        for number, model in enumerate(compression.models):
            if not model.is_model:  # its share is the line, and it stands nowhere along the axis
                continue
            x, x_error = place_across(model, by_latency=by_latency)
            low, y, high = (
                100 * value
                for value in (model.scores.lowest, model.scores.median, model.scores.highest)
            )
            y_error = [[y - low], [high - y]] if len(model.scores.values) > 1 else None
            axes.errorbar(
                [x], [y], xerr=x_error, yerr=y_error, **point_style(number), elinewidth=1.4
            )
            points.append((x, y))
        axes.margins(0.2, 0.16)
        axes.set_xlim(left=0)
        axes.set_xlabel(across_label(by_latency=by_latency))
        axes.set_ylabel(f"{wording.metric_name(compression.metric)} ({compression.split})")
        names = [model.label for model in compression.models if model.is_model]
        name_points(axes, points, names)

    describe = (
        f"Score against {across_label(by_latency=by_latency)} of the teacher and every student"
    )
    return draw(across, paint, height=3.3, width=width, describe=describe, left=0.62)


def _tiles(found: Compression) -> tuple[Tile, ...]:
    """Returns the choice's main figures in large type, or those of the best that was tried."""
    shown = next((m for m in found.candidates if m.label == found.chosen), found.best())
    metric, teacher = wording.metric_name(found.metric), found.teacher
    ends = "" if shown.retention is None else f"95 % interval {figures.interval(shown.retention)}, "
    kept = Tile(
        figure=format_percent(found.kept(shown)) if found.is_shown(shown) else figures.NONE,
        name=f"of the teacher's {metric}: {shown.label}",
        more=f"{ends}asked: {format_percent(found.retain)}",
    )
    name = f"{metric} on {found.split}"
    score = score_tile(name, shown.scores.median, teacher.scores.median)
    return kept, score, *cost_tiles(shown, teacher)
