"""The page of a search for a smaller model, and the plot of score and latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from limbeck.report import figures, wording
from limbeck.report.bounds import Search, word_bound
from limbeck.report.compression import (
    Compression,
    describe_test,
    find_looser,
    find_nearest,
    format_percent,
    headline,
    tried_table,
)
from limbeck.report.drawing import MUTED, WIDTH, Drawing, draw, point_style
from limbeck.report.facts import ModelFacts
from limbeck.report.labels import name_points
from limbeck.report.page import Block, Fold, Page, Picture, Plot, Plots, Section, Terms, Tile
from limbeck.report.parts import cost_tiles, method_section, score_tile
from limbeck.report.plots import across_label, place_across
from limbeck.report.render import write_page
from limbeck.report.training import find_inequality_among

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Across = Literal["latency", "parameters", "size"]

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
    search = compression.search
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
            drawing=draw_trade_off(compression, "parameters" if search is None else "size"),
            caption=_say_choice(search),
        ),
    )
    trained = [model for model in compression.candidates if model.training is not None]
    unequal = find_inequality_among(trained) if trained else None
    notes = list(compression.notes)
    if unequal is not None:
        notes.insert(
            0,
            f"The students were not trained alike ({unequal}), so what one of them keeps beside "
            "another is not of like with like.",
        )
    made = Terms(terms=tuple((label, compression.how[label]) for label in labels))
    table = tried_table(compression)
    blocks: tuple[Block, ...] = (
        Plots(plots=plots),
        table,
        *_list_trials(search),
        *_list_not_tried(search),
        *_list_expected(search),
        Fold(title="How each was made", block=made),
    )
    return Page(
        title=name,
        headline=headline(compression),
        remarks=(*(() if test is None else (test,)), *_say_what_would_do(compression)),
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


def _say_what_would_do(found: Compression) -> tuple[str, ...]:
    """Returns with what the same models would be enough, where none is."""
    looser = find_looser(found) if found.chosen is None else []
    return (f"It would do to ask for {'; or for '.join(looser)}.",) if looser else ()


def _say_choice(search: Search | None) -> str:
    if search is None:
        return "Of the models on or above the line, the leftmost is chosen."
    what = "leftmost" if search.prefer == "smallest" else "fastest"
    return (
        f"Of the models on or above the line and left of the bounds, the {what} is chosen. The "
        "stair joins those than which none is both smaller and better."
    )


def _list_trials(search: Search | None) -> tuple[Fold, ...]:
    """Returns how far each student was trained, and what it scored on the way."""
    if search is None or not search.trials:
        return ()
    terms = Terms(terms=tuple(search.trials.items()))
    return (Fold(title="How far each student was trained", block=terms),)


def _list_not_tried(search: Search | None) -> tuple[Fold, ...]:
    """Returns what was not made, each with the reason."""
    if search is None or not search.not_tried:
        return ()
    terms = Terms(terms=tuple(search.not_tried.items()))
    return (Fold(title=f"Not tried ({len(search.not_tried)})", block=terms),)


def _list_expected(search: Search | None) -> tuple[Fold, ...]:
    """Returns what each model was expected to take before it was made."""
    if search is None or not search.expected:
        return ()
    return (Fold(title="What was expected", block=Terms(terms=tuple(search.expected.items()))),)


def find_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points than which none is both further left and higher, from the left.

    Example:
        >>> find_front([(1, 80), (2, 90), (3, 85), (4, 95)])
        [(1, 80), (2, 90), (4, 95)]
    """
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def draw_trade_off(compression: Compression, across: Across, *, width: float = WIDTH) -> Drawing:
    """Draws every model's score against its latency or size, with the share asked for as a line.

    Args:
        compression: The outcome.
        across: What the horizontal axis shows.
        width: In inches.
    """
    wanted = 100 * compression.retain * compression.teacher.scores.median

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
            x, x_error = _place(model, across)
            low, y, high = (
                100 * value
                for value in (model.scores.lowest, model.scores.median, model.scores.highest)
            )
            y_error = [[y - low], [high - y]] if len(model.scores.values) > 1 else None
            axes.errorbar(
                [x], [y], xerr=x_error, yerr=y_error, **point_style(number), elinewidth=1.4
            )
            points.append((x, y))
        if compression.search is not None:
            _draw_front(axes, points)
        axes.margins(0.2, 0.16)
        axes.set_xlim(left=0)
        if compression.search is not None:
            _draw_bound(axes, compression.search, across)
        axes.set_xlabel(_label(across))
        axes.set_ylabel(f"{wording.short_metric_name(compression.metric)} ({compression.split})")
        names = [model.label for model in compression.models if model.is_model]
        name_points(axes, points, names)

    describe = f"Score against {_label(across)} of the teacher and every student"
    return draw(across, paint, height=3.3, width=width, describe=describe, left=0.62)


def _place(model: ModelFacts, across: Across) -> tuple[float, list[list[float]] | None]:
    if across == "size":
        return model.file_bytes / 1e6, None
    return place_across(model, by_latency=across == "latency")


def _label(across: Across) -> str:
    return (
        "size of the files (MB)"
        if across == "size"
        else across_label(by_latency=across == "latency")
    )


def _draw_front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    front = find_front(points)
    axes.plot(*zip(*front, strict=True), drawstyle="steps-post", color=MUTED, linewidth=1, zorder=0)


def _draw_bound(axes: Axes, search: Search, across: Across) -> None:
    name = "max_latency_ms" if across == "latency" else "max_size_mb"
    limit = getattr(search.bounds, name)
    if limit is None:
        return
    end = max(axes.get_xlim()[1], 1.02 * limit)
    axes.set_xlim(right=end)
    axes.axvline(limit, color=MUTED, linestyle=(0, (5, 3)), linewidth=1.3, zorder=1)
    is_left = limit > end / 2  # where there is room
    axes.annotate(
        f"at most {word_bound(name, limit)}",
        (limit, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if is_left else 4, 4),
        textcoords="offset points",
        ha="right" if is_left else "left",
        color=MUTED,
    )


def _tiles(found: Compression) -> tuple[Tile, ...]:
    """Returns the choice's main figures in large type, or those of the best that was tried."""
    other = found.best() if found.search is None else find_nearest(found)
    shown = next((m for m in found.candidates if m.label == found.chosen), other)
    metric, teacher = wording.metric_name(found.metric), found.teacher
    ends = ""
    if shown.retention is not None:
        ends = f"{wording.describe_ends(shown.retention, found.num_examples)}, "
    kept = Tile(
        figure=format_percent(found.kept(shown)) if found.is_shown(shown) else figures.NONE,
        name=f"of the teacher's {metric}: {shown.label}",
        more=f"{ends}asked: {format_percent(found.retain)}",
    )
    name = f"{metric} on {found.split}"
    score = score_tile(name, shown.scores.median, teacher.scores.median)
    return kept, score, *cost_tiles(shown, teacher), *_memory_tile(found, shown)


def _memory_tile(found: Compression, model: ModelFacts) -> tuple[Tile, ...]:
    if found.search is None or model.label not in found.search.footprints:
        return ()
    own, teacher = map(found.search.word_memory, (model, found.teacher))
    return (Tile(figure=own, name="of memory, loaded", more=f"teacher in torch {teacher}"),)
