"""The plots of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from limbeck.report import figures, wording
from limbeck.report.distillation import is_of_vectors, name_own_losses
from limbeck.report.drawing import INK, MUTED, NARROW, PAPER, SERIES, draw, point_style
from limbeck.report.facts import DistillationFacts, ModelFacts, Report
from limbeck.report.page import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.5  # inches
_TICKS = 0.62  # inches on the left for the figures of an axis


def score_plot(models: Sequence[ModelFacts], *, metric: str, split: str, of: str) -> Plot:
    """Draws score against latency at batch 1, or against size where no speed was measured.

    Args:
        models: The models.
        metric: Their metric.
        split: The split that is reported.
        of: What the score is, such as `the average`.
    """
    has_speed = all(model.speed is not None for model in models)

    def paint(axes: Axes) -> None:
        for number, model in enumerate(models):
            error = model.scores.standard_error or 0.0
            x, x_error = place_across(model, by_latency=has_speed)
            axes.errorbar(
                [x],
                [100 * model.scores.mean],
                xerr=x_error,
                yerr=[100 * error] if error else None,
                **point_style(number),
                elinewidth=1.4,
            )
        axes.margins(0.18, 0.12)
        axes.set_xlim(left=0)
        axes.set_xlabel(across_label(by_latency=has_speed))
        axes.set_ylabel(f"{wording.short_metric_name(metric)} ({split})")

    across, bars = ("latency", ", quartiles of the latency.") if has_speed else ("parameters", ".")
    drawing = draw(
        "score",
        paint,
        height=max(2.6, 0.75 + _ROW * len(models)),
        describe=f"Score against {across} of each model",
        left=_TICKS,
    )
    score = "average" if metric == "macro_average" else wording.metric_name(metric)
    return Plot(
        title=figures.capitalise(
            f"{score} and {'latency' if has_speed else 'number of parameters'}"
        ),
        drawing=drawing,
        caption=f"Up and left is better; bars: one standard error of {of}{bars}",
    )


def place_across(model: ModelFacts, *, by_latency: bool) -> tuple[float, list[list[float]] | None]:
    """Returns where a model stands on an axis of latency or size, with its bar to both sides."""
    if model.speed is None or not by_latency:
        return model.num_parameters / 1e6, None
    latency = model.speed.latency_ms
    x = latency.median
    return x, [[x - latency.lower], [latency.upper - x]]


def across_label(*, by_latency: bool) -> str:
    """Returns the name of that axis."""
    return "latency at batch 1 (ms)" if by_latency else "parameters (millions)"


def difference_plot(report: Report) -> Plot | None:
    """Draws the difference of each comparison with its interval; None if there is none."""
    shown = [
        (c, c.paired.difference)
        for c in report.comparisons
        # Where no example differs there is no interval, and a point alone would look sure.
        if c.paired is not None and not c.paired.difference.is_all(0)
    ]
    if not shown:
        return None
    labels = [model.label for model in report.models]
    several = len({comparison.model for comparison, _ in shown}) > 1
    name = report.names.model

    def paint(axes: Axes) -> None:
        axes.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for row, (comparison, found) in enumerate(shown):
            estimate = 100 * found.estimate
            axes.errorbar(
                [estimate],
                [row],
                xerr=[[estimate - 100 * found.low], [100 * found.high - estimate]],
                **point_style(labels.index(comparison.model)),
                elinewidth=2,
            )
            first = f"{comparison.model} −" if several else "against"
            label_row(
                axes,
                row,
                f"{first} {comparison.reference}",
                value=figures.points(found.estimate, signed=True),
            )
        finish_rows(axes, len(shown))
        axes.margins(x=0.08)
        axes.set_xlabel("difference in points, with its interval")

    drawing = draw(
        "difference",
        paint,
        height=0.75 + _ROW * len(shown),
        describe=f"Difference of the {name}'s score to each other model's, with intervals",
    )
    return Plot(
        title=f"Differences to the {name}",
        drawing=drawing,
        caption="An interval that takes in 0 does not tell which is better.",
    )


def seeds_plot(models: Sequence[ModelFacts], *, title: str, metric: str, split: str) -> Plot:
    """Draws each seed's score, and the mean as a bar."""

    def paint(axes: Axes) -> None:
        for row, model in enumerate(models):
            style = point_style(row)
            color = style["color"]
            values = [100 * value for value in model.scores.values]
            axes.plot([min(values), max(values)], [row, row], color=color, linewidth=1.2, alpha=0.5)
            axes.plot(values, [row] * len(values), **{**style, "alpha": 0.75})
            mean = 100 * model.scores.mean
            axes.plot([mean, mean], [row - 0.2, row + 0.2], color=color, linewidth=2.4)
            label_row(axes, row, model.label, value=figures.points(model.scores.mean))
        finish_rows(axes, len(models))
        axes.margins(x=0.08)
        axes.set_xlabel(f"{wording.metric_name(metric)} ({split}), one mark per seed")

    drawing = draw(
        "seeds",
        paint,
        height=0.75 + _ROW * len(models),
        describe="Score of each seed of each model, and its mean",
    )
    return Plot(title=title, drawing=drawing, caption="The upright bar is the mean over seeds.")


def size_plot(models: Sequence[ModelFacts]) -> Plot:
    """Draws file sizes."""

    def paint(axes: Axes) -> None:
        for row, model in enumerate(models):
            color = point_style(row)["color"]
            axes.barh([row], [model.file_bytes / 1e6], height=0.3, color=color, linewidth=0)
            size = figures.file_size(model.file_bytes)
            parameters = figures.magnitude(model.num_parameters)
            label_row(axes, row, model.label, value=f"{size}, {parameters} parameters")
        finish_rows(axes, len(models))
        axes.set_xlim(left=0)
        axes.set_xlabel("weight file (MB)")

    height = 0.75 + _ROW * len(models)
    drawing = draw("size", paint, height=height, describe="Size of each model's weight file")
    caption = "Weights as saved, the task's head included."
    return Plot(title="Size on disk", drawing=drawing, caption=caption)


def curve_plots(found: DistillationFacts) -> tuple[Plot, ...]:
    """Draws what a distillation measured on the way, as far as it did."""
    after = found.after
    accuracy = after.get("teacher_mlm_accuracy", after.get("teacher_clm_accuracy"))
    of_teacher = after.get("teacher_mlm_loss", after.get("teacher_clm_loss"))
    held_out = {
        "mlm_loss": "masked LM",
        "clm_loss": "causal LM",
        "kl_to_teacher": "KL to teacher",
        **name_own_losses(after),
    }
    losses = [name for name in found.train if name.startswith("loss_")]
    terms = {name: name.removeprefix("loss_").replace("_", " ") for name in losses}
    shares = {
        "teacher_agreement": "agrees with teacher",
        "mlm_accuracy": "accuracy",
        "clm_accuracy": "accuracy",
        "cosine": "cosine",
        "held_out_cosine": "cosine",
        "held_out_similarity_spearman": "similarities",
        "held_out_score_spearman": "scores",
        "validation_spearman": "validation pairs",
    }
    percent = {
        name: values if name in {"step", "tokens"} else [100 * value for value in values]
        for name, values in found.evaluate.items()
    }
    drawn = (
        _curves(
            "agreement",
            percent,
            names=shares,
            label="on held-out text (%)",
            level=("teacher's accuracy", None if accuracy is None else 100 * accuracy),
            title="Agreement",
            caption="Cosine, and Spearman of both models' similarities."
            if is_of_vectors(found)
            else "Over the tokens that are predicted; cosine over all.",
        ),
        _curves(
            "heldout",
            found.evaluate,
            names=held_out,
            label="held-out loss (nats)",
            level=("teacher's own", of_teacher),
            title="Held-out loss",
            caption="Lower is better.",
        ),
        _curves(
            "training",
            found.train if "loss" in found.train else {},
            names={"loss": "total", **terms},
            label="training loss",
            title="Training loss",
            caption="Its terms are shown unweighted.",
        ),
    )
    return tuple(plot for plot in drawn if plot is not None)


def _curves(
    name: str,
    curves: Mapping[str, Sequence[float]],
    *,
    names: Mapping[str, str],
    label: str,
    title: str,
    caption: str,
    level: tuple[str, float | None] = ("", None),
) -> Plot | None:
    """Draws the named curves and a level that they may reach; None if there is no curve."""
    series = [(words, curves[name]) for name, words in names.items() if name in curves]
    if not series:
        return None
    across = "tokens" if "tokens" in curves else "step"

    def paint(axes: Axes) -> None:
        xs, unit = _in_units(curves[across])
        for number, (words, values) in enumerate(series):
            # The student's colour first: these are its curves.
            style = {**point_style(number + 1), "markersize": 4, "linestyle": "-"}
            if len(xs) > 30:
                style["marker"] = ""
            axes.plot(xs, values, **style, label=words)
        if level[1] is not None:
            axes.axhline(level[1], color=SERIES[0], linestyle=(0, (5, 3)), label=level[0])
        axes.set_xlabel(f"{across}{unit}")
        axes.set_ylabel(label)
        axes.set_xlim(left=0)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=2,
            frameon=False,
            labelcolor=INK,
            handlelength=2.0,
            columnspacing=1.2,
            borderpad=0.2,
        )

    num_lines = -(-(len(series) + (level[1] is not None)) // 2)
    top = 0.2 + 0.19 * num_lines
    describe = f"{label} over {across}: {', '.join(words for words, _ in series)}"
    drawing = draw(
        name, paint, height=2.5 + top, describe=describe, top=top, width=NARROW, left=_TICKS
    )
    return Plot(title=title, drawing=drawing, caption=caption)


def label_row(axes: Axes, row: int, text: str, *, value: str) -> None:
    """Writes a row's name above its mark on the left, and its figure on the right."""
    available = 54 - len(value)
    shown = text if len(text) <= available else text[: available - 1] + "…"
    place: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "va": "baseline",
        "clip_on": False,
        # No line strikes it, such as that of no difference.
        "bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    }
    axes.text(0, row - 0.3, shown, ha="left", color=INK, **place)
    axes.text(1, row - 0.3, value, ha="right", color=MUTED, **place)


def finish_rows(axes: Axes, num_rows: int) -> None:
    """Leaves room for rows whose names stand above their marks."""
    axes.set_ylim(num_rows - 0.45, -0.65)  # the first row on top
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)


def _in_units(values: Sequence[float]) -> tuple[list[float], str]:
    """Returns large numbers in the unit that suits them, and the unit."""
    highest = max(values, default=0.0)
    for scale, words in ((1e9, " (billions)"), (1e6, " (millions)"), (1e3, " (thousands)")):
        if highest >= (2e4 if scale == 1e3 else 2 * scale):
            return [value / scale for value in values], words
    return list(values), ""
