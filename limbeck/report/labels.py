"""Names beside points in a plot, placed so that none covers another or leaves the plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limbeck.report.drawing import FONT_SIZE, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points of 1/72 inch."""

_CHARACTER, _LINE = 0.58 * FONT_SIZE, 1.25 * FONT_SIZE
_MARK = 5.0  # half a mark's width
_LONGEST = 30  # characters

# Shift in points, and which part of the name stands there.
_PLACES = (
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    (5, 7, "left", "bottom"),
    (-5, 7, "right", "bottom"),
    (5, -7, "left", "top"),
    (-5, -7, "right", "top"),
    (0, 19, "center", "bottom"),
    (0, -19, "center", "top"),
)


def name_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    taken: Sequence[tuple[tuple[float, float], str]] = (),
) -> None:
    """Writes each point's name in the first free place around it, or else in the freest.

    Args:
        axes: With their final limits.
        points: In data.
        names: Theirs; long ones are cut.
        taken: Texts that are in the plot already, each with its lower left corner in data.
    """
    scale = 72 / axes.figure.dpi
    left, bottom, right, top = (scale * end for end in axes.bbox.extents)
    marks = [tuple(scale * axes.transData.transform(point)) for point in points]
    boxes = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in marks]
    for corner, text in taken:
        x, y = scale * axes.transData.transform(corner)
        boxes.append((x, y, x + len(text) * _CHARACTER, y + _LINE))
    for (x, y), point, name in zip(marks, points, names, strict=True):
        shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        tried = [(_box(x, y, place, shown), place) for place in _PLACES]
        covered = [
            sum(_overlap(box, other) for other in boxes)
            + _area(box)
            - _overlap(box, (left, bottom, right, top))
            for box, _ in tried
        ]
        box, place = tried[covered.index(min(covered))]
        boxes.append(box)
        axes.annotate(
            shown,
            point,
            xytext=place[:2],
            textcoords="offset points",
            ha=place[2],
            va=place[3],
            color=INK,
        )


def _box(x: float, y: float, place: tuple[int, int, str, str], name: str) -> Box:
    """Returns the room that a name takes around a point."""
    width = len(name) * _CHARACTER
    start = x + place[0] - width * {"left": 0.0, "center": 0.5, "right": 1.0}[place[2]]
    foot = y + place[1] - _LINE * {"bottom": 0.0, "center": 0.5, "top": 1.0}[place[3]]
    return start, foot, start + width, foot + _LINE


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(one: Box, other: Box) -> float:
    """Returns the area that two boxes share.

    Example:
        >>> _overlap((0, 0, 4, 2), (3, 1, 9, 9)), _overlap((0, 0, 1, 1), (2, 0, 3, 1))
        (1.0, 0.0)
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(max(width, 0) * max(height, 0))
