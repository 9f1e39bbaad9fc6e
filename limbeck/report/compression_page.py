"""The page of a search for a smaller model: Markdown, HTML, and the plot of score and latency."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from limbeck.report import markdown, page, wording
from limbeck.report.compression import (
    Compression,
    describe_test,
    format_percent,
    headline,
    model_table,
)
from limbeck.report.facts import ModelFacts
from limbeck.report.labels import name_points
from limbeck.report.svg import MUTED, WIDTH, draw_svg, make_standalone, point_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Across = Literal["latency", "parameters"]

_AXES: dict[Across, str] = {
    "latency": "latency at batch 1 (ms)",
    "parameters": "parameters (millions)",
}
_WIDE = 6.4  # inches
FILES = {kind: f"compress.{kind}" for kind in ("md", "html", "svg")}
"""What is written, by kind."""


def write_compression(compression: Compression, out: Path) -> None:
    """Writes `FILES` into a folder."""
    texts = {
        "svg": make_standalone(draw_trade_off(compression, "latency", width=_WIDE)),
        "md": _render_markdown(compression),
        "html": _render_html(compression),
    }
    for kind, text in texts.items():
        (out / FILES[kind]).write_text(text, encoding="utf-8")


def draw_trade_off(compression: Compression, across: Across, *, width: float = WIDTH) -> str:
    """Draws every model's score against its latency or size, with the share asked for as a line.

    Args:
        compression: The outcome.
        across: What the horizontal axis shows.
        width: In inches.
    """
    wanted = 100 * compression.retain * compression.teacher.scores.median

    def draw(axes: Axes) -> None:
        axes.axhline(wanted, color=MUTED, linestyle=(0, (5, 3)), linewidth=1.3, zorder=1)
        words = f"{format_percent(compression.retain)} of the teacher"
        axes.annotate(
            words,
            (0, wanted),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            color=MUTED,
        )
        points = []
        for number, model in enumerate(compression.models):
            x, x_error = _place(model, across)
            scores = model.scores
            ends = [[scores.median - scores.lowest], [scores.highest - scores.median]]
            y_error = (
                [[100 * end for end in side] for side in ends] if len(scores.values) > 1 else None
            )
            y = 100 * scores.median
            axes.errorbar(
                [x], [y], xerr=x_error, yerr=y_error, **point_style(number), elinewidth=1.4
            )
            points.append((x, y))
        axes.margins(0.2, 0.16)
        axes.set_xlim(left=0)
        axes.set_xlabel(_AXES[across])
        axes.set_ylabel(f"{wording.metric_name(compression.metric)} ({compression.split})")
        names = [model.label for model in compression.models]
        name_points(axes, points, names, taken=[((0, wanted), words)])

    describe = f"Score against {_AXES[across]} of the teacher and every student"
    return draw_svg(across, draw, height=3.3, width=width, describe=describe, has_ticks=True)


def _place(model: ModelFacts, across: Across) -> tuple[float, list[list[float]] | None]:
    """Returns where a model stands on the horizontal axis, with the bar to both sides."""
    if across == "parameters":
        return model.num_parameters / 1e6, None
    assert model.speed is not None
    latency = model.speed.latency_ms
    x = latency.median
    return x, [[x - latency.lower], [latency.upper - x]]


def _title(compression: Compression) -> str:
    return f"{compression.name}, made smaller for {compression.task}"


def _render_markdown(compression: Compression) -> str:
    made = [f"- {model.label}: {compression.how[model.label]}" for model in compression.models]
    parts = [
        f"# {markdown.escape(_title(compression))}",
        f"**{markdown.escape(headline(compression))}**",
        markdown.escape(describe_test(compression) or ""),
        "![Score against latency](compress.svg)",
        markdown.render_table(model_table(compression)),
        "## How each was made",
        "\n".join(markdown.escape(line) for line in made),
        "## How this was measured",
        "\n".join(f"- {markdown.escape(note)}" for note in compression.notes),
        "\n".join(
            f"- {markdown.escape(name)}: {markdown.escape(value)}"
            for name, value in compression.conditions.items()
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _render_html(compression: Compression) -> str:
    labels = [model.label for model in compression.models]
    made = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(compression.how[label])}</dd>" for label in labels
    )
    test = describe_test(compression)
    body = [
        f'<header><p class="over">{escape(_title(compression))}</p>'
        f"<h1>{page.prose(headline(compression))}</h1>"
        + (f"<p>{page.prose(test)}</p>" if test else "")
        + "</header>",
        _tiles(compression),
        page.section(
            "What was tried",
            page.plots(
                (
                    "Score and latency",
                    draw_trade_off(compression, "latency"),
                    (
                        "Up and left is better; on or above the line it is enough. Bars: "
                        "quartiles of the latency, lowest to highest seed."
                    ),
                ),
                (
                    "Score and size",
                    draw_trade_off(compression, "parameters"),
                    "Of the models on or above the line, the leftmost is chosen.",
                ),
            ),
            page.table(model_table(compression), labels=labels, marked=compression.chosen),
            page.details("How each was made", f"<dl>{made}</dl>"),
        ),
        page.method(compression.notes, compression.conditions),
    ]
    return page.render_page(_title(compression), body)


def _tiles(compression: Compression) -> str:
    """Returns the choice's main figures in large type, or those of the best that was tried."""
    found, teacher = compression, compression.teacher
    shown = next((m for m in found.candidates if m.label == found.chosen), found.best())
    metric = wording.metric_name(found.metric)
    ends = "" if shown.retention is None else f"95 % interval {wording.interval(shown.retention)}, "
    figures = [
        (
            f"of the teacher's {metric}: {shown.label}",
            format_percent(found.kept(shown)),
            f"{ends}asked: {format_percent(found.retain)}",
        ),
        (
            f"{metric} on {found.split}",
            wording.points(shown.scores.median),
            f"teacher {wording.points(teacher.scores.median)}",
        ),
    ]
    figures += page.speed_tile(shown, teacher)
    figures.append(
        (
            "weight file",
            wording.file_size(shown.file_bytes),
            (
                f"teacher {wording.file_size(teacher.file_bytes)}; "
                f"{shown.num_layers} of {teacher.num_layers} layers"
            ),
        )
    )
    return page.tiles(figures)
