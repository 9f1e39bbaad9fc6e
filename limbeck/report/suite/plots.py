"""The plots of a suite's report that a report on one task does not have."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from limbeck.report.drawing import INK, MUTED, WIDE, WIDTH, Drawing, draw, point_style
from limbeck.report.facts import ModelFacts
from limbeck.report.page import Plot
from limbeck.report.suite.facts import SuiteReport, TaskFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LANE = 0.17  # inches between the models of one task
_GAP = 0.22  # inches between tasks
_LABEL = 1.15  # inches for the tasks' names
_BESIDE = 12.0  # points that are shown beyond the outermost estimate
_NAME_WIDTH = 16  # characters of a task's name that stand on one line
_NAME_LINES = 3
_BESIDE_LINE: Any = {"textcoords": "offset points", "va": "center", "color": MUTED}


def retention_plot(report: SuiteReport) -> Plot | None:
    """Draws each task's retention with its interval against 100 %; None if there is none."""
    others = [
        model
        for model in report.models
        if model.label != report.teacher
        and any(
            found is not None and found.retention is not None
            for found in (model, *(task.find(model.label) for task in report.tasks))
        )
    ]
    if not others:
        return None
    bare = {task.name: _absence(task, others) for task in report.tasks}
    rows: list[tuple[str, list[ModelFacts | None]]] = [
        (f"average of {len(report.averaged)}", [*others])
    ]
    rows += [(task.name, [task.find(model.label) for model in others]) for task in report.tasks]
    numbers = [_number_of(report, model.label) for model in others]
    lanes = len(others)

    def paint(axes: Axes) -> None:
        axes.axvline(100, color=MUTED, linewidth=1.2, zorder=1)
        estimates = [100.0]
        for row, (_, models) in enumerate(rows):
            for lane, (number, model) in enumerate(zip(numbers, models, strict=True)):
                share = None if model is None else model.retention
                if share is None:
                    continue
                estimate = 100 * share.estimate
                estimates.append(estimate)
                axes.errorbar(
                    [estimate],
                    [_height(row, lane, lanes)],
                    xerr=[[estimate - 100 * share.low], [100 * share.high - estimate]],
                    **{**point_style(number), "markersize": 9 if row == 0 else 6.5},
                    elinewidth=2.4 if row == 0 else 1.6,
                )
        # An interval of a task that is hardly learned would hide all others.
        axes.set_xlim(max(0, min(estimates) - _BESIDE), max(estimates) + _BESIDE)
        for row, (name, _) in enumerate(rows):
            # At the left, where there is always room: no model has a mark in that row.
            place: Any = {"xy": (0, row), "xycoords": ("axes fraction", "data")}
            axes.annotate(bare.get(name, ""), xytext=(8, 0), **place, **_BESIDE_LINE)
        _finish(axes, [name for name, _ in rows])
        axes.axhline(_edge(1), color=MUTED, linewidth=0.8)
        axes.set_xlabel("share of the teacher's score (%), with its interval")

    wide, narrow = _draw_both(
        "retention",
        paint,
        height=0.6 + len(rows) * _row_height(lanes),
        describe="Share of the teacher's score that each model keeps on each task, with intervals",
    )
    return Plot(
        title="Retention on each task",
        drawing=wide,
        narrow=narrow,
        caption=(
            "An interval that takes in 100 % shows no difference to the teacher. Intervals that "
            "leave the picture are cut off; the table has them."
        ),
    )


def task_scores_plot(report: SuiteReport) -> Plot:
    """Draws every seed's score of every model on each task, and the median as a bar."""
    lanes = len(report.models)

    def paint(axes: Axes) -> None:
        for row, task in enumerate(report.tasks):
            for number, model in enumerate(report.models):
                found = task.find(model.label)
                if found is None:
                    continue
                style, height = point_style(number), _height(row, number, lanes)
                values = [100 * value for value in found.scores.values]
                axes.plot(values, [height] * len(values), **{**style, "markersize": 6})
                median = 100 * found.scores.median
                ends = [height - 0.32 / (lanes + 1), height + 0.32 / (lanes + 1)]
                axes.plot([median, median], ends, color=style["color"], linewidth=2)
        _finish(axes, [task.name for task in report.tasks])
        axes.margins(x=0.04)
        axes.set_xlabel(f"main metric on {report.split} (points), one mark per seed")

    wide, narrow = _draw_both(
        "tasks",
        paint,
        height=0.6 + len(report.tasks) * _row_height(lanes),
        describe="Score of every seed of each model on each task",
    )
    caption = "The upright bar is the median over seeds."
    return Plot(title="Every seed on each task", drawing=wide, narrow=narrow, caption=caption)


def _draw_both(
    name: str, paint: Callable[[Axes], None], *, height: float, describe: str
) -> tuple[Drawing, Drawing]:
    """Draws a figure over the whole page, and once more for a phone."""
    wide, narrow = (
        draw(which, paint, height=height, width=width, left=_LABEL, describe=describe)
        for which, width in ((name, WIDE), (f"{name}-narrow", WIDTH))
    )
    return wide, narrow


def _absence(task: TaskFacts, models: Sequence[ModelFacts]) -> str:
    """Returns why a task has no mark; nothing where it has one."""
    run = [found for model in models if (found := task.find(model.label)) is not None]
    if any(model.retention is not None for model in run):
        return ""
    return "no share to give" if run else "not run"


def _number_of(report: SuiteReport, label: str) -> int:
    return [model.label for model in report.models].index(label)


def _row_height(lanes: int) -> float:
    return _GAP + _LANE * lanes


def _height(row: int, lane: int, lanes: int) -> float:
    """Returns where a model's mark stands; a task is 1 high, whatever the number of models."""
    share = _LANE / _row_height(lanes)
    return row + share * (lane - (lanes - 1) / 2)


def _wrap(name: str) -> str:
    r"""Returns a task's name over as many lines as it needs, as far as there is room.

    Example:
        >>> _wrap("questions about contracts")
        'questions about\ncontracts'
    """
    lines = textwrap.wrap(name, _NAME_WIDTH, max_lines=_NAME_LINES, placeholder="…")
    return "\n".join(lines)


def _edge(row: int) -> float:
    """Returns the line above a row."""
    return row - 0.5


def _finish(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first row on top
    axes.set_yticks(range(len(names)), [_wrap(name) for name in names])
    axes.tick_params(axis="y", labelcolor=INK)
    for row in range(1, len(names)):
        axes.axhline(_edge(row), color=MUTED, linewidth=0.5, alpha=0.35, zorder=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
