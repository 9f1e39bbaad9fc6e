"""Names beside points in a plot, placed so that none covers another or leaves the plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limbeck.report.drawing import FONT_SIZE, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox, BboxBase

_MARK = 5.0  # points; half a mark's width
_APART = 1.5  # points around a name
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


def name_points(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Writes each point's name in the first free place around it, or else in the freest.

    Args:
        axes: With their final limits, and all texts that are to stay free.
        points: In data.
        names: Theirs; long ones are cut in the middle, since what tells one of several from the
            others, such as its format, is often at the end.
    """
    from matplotlib.transforms import Bbox

    scale = axes.figure.dpi / 72
    marks = axes.transData.transform(points)
    boxes = [Bbox([mark - _MARK * scale, mark + _MARK * scale]) for mark in marks]
    boxes += [text.get_window_extent() for text in axes.texts]
    for point, name in zip(points, names, strict=True):
        text = axes.annotate(
            _cut(name), point, (0, 0), textcoords="offset points", color=INK, size=FONT_SIZE
        )

        def place(where: tuple[int, int, str, str], text: Annotation = text) -> Bbox:
            text.set(position=where[:2], ha=where[2], va=where[3])
            return text.get_window_extent().padded(_APART * scale)

        def covered(where: tuple[int, int, str, str]) -> float:
            box = place(where)
            outside = box.width * box.height - _overlap(box, axes.bbox)
            return outside + sum(_overlap(box, other) for other in boxes)

        boxes.append(place(min(_PLACES, key=covered)))


def _cut(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    half = (_LONGEST - 1) // 2
    return f"{name[:half].rstrip()}…{name[-half:].lstrip()}"


def _overlap(one: BboxBase, other: BboxBase) -> float:
    """Returns the area that two boxes share."""
    from matplotlib.transforms import BboxBase

    shared = BboxBase.intersection(one, other)
    return 0.0 if shared is None else float(shared.width * shared.height)
