"""Names in a plot: none covers another, as matplotlib itself measures them."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from limbeck.report.drawing import FONT_SIZE
from limbeck.report.labels import name_points

POINTS = {
    "teacher": (20, 90),
    "google-bert/bert-base-uncased": (19.8, 88.5),
    "4 layers": (13.3, 88.4),
    "3 layers": (10, 86),
    "distilled": (9.8, 85.9),
    "1 layer": (5, 70),
    "a name that is far too long for any plot": (8, 75),
}


def test_names_stand_apart_and_inside():
    figure = Figure(figsize=(4.7, 3.3))
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.82))
    for x, y in POINTS.values():
        axes.plot([x], [y], "o", markersize=7.5)
    axes.margins(0.2, 0.16)
    axes.set_xlim(left=0)
    axes.annotate(
        "97 % of the teacher", (0, 87.3), (4, 4), textcoords="offset points", size=FONT_SIZE
    )
    names = list(POINTS)
    name_points(axes, list(POINTS.values()), names)
    for text in axes.texts:
        text.set_size(FONT_SIZE)
    shown = [text.get_text() for text in axes.texts[1:]]
    assert shown == [*names[:-1], "a name that is…g for any plot"]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert axes.bbox.x0 <= box.x0 < box.x1 <= axes.bbox.x1
        for point in POINTS.values():
            assert not box.contains(*axes.transData.transform(point))
