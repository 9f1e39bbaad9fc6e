"""The plots of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from limbeck.report import wording
from limbeck.report.facts import Distillation, ModelFacts, Report
from limbeck.report.svg import (
    INK,
    MUTED,
    NARROW,
    NUM_SERIES,
    SERIES,
    draw_svg,
    point_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.5  # inches


def score_plot(models: Sequence[ModelFacts], *, metric: str, split: str) -> str:
    """Draws score against latency at batch 1, or against size where no speed was measured."""
    has_speed = all(model.speed is not None for model in models)

    def draw(axes: Axes) -> None:
        for number, model in enumerate(models):
            error = model.scores.standard_error or 0.0
            x = model.num_parameters / 1e6
            x_error = None
            if model.speed is not None and has_speed:
                latency = model.speed.latency_ms
                x = latency.median
                x_error = [[x - latency.lower], [latency.upper - x]]
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
        axes.set_xlabel("latency at batch 1 (ms)" if has_speed else "parameters (millions)")
        axes.set_ylabel(f"{wording.metric_name(metric)} ({split})")

    across = "latency at batch 1" if has_speed else "parameters"
    height = max(2.6, 0.75 + _ROW * len(models))
    describe = f"Score against {across} of each model"
    return draw_svg("score", draw, height=height, describe=describe, has_ticks=True)


def difference_plot(report: Report) -> str | None:
    """Draws the difference of each comparison with its interval; None if there is none."""
    shown = [comparison for comparison in report.comparisons if comparison.paired is not None]
    if not shown:
        return None

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for row, comparison in enumerate(shown):
            assert comparison.paired is not None
            found = comparison.paired.difference
            number = _number_of(report, comparison.model)
            estimate = 100 * found.estimate
            axes.errorbar(
                [estimate],
                [row],
                xerr=[[estimate - 100 * found.low], [100 * found.high - estimate]],
                **point_style(number),
                elinewidth=2,
            )
            several = len({c.model for c in shown}) > 1
            text = f"{comparison.model} − {comparison.reference}" if several else (
                f"against {comparison.reference}"
            )  # fmt: skip
            _label_row(axes, row, text, value=wording.points(found.estimate, signed=True))
        _finish_rows(axes, len(shown))
        axes.margins(x=0.08)
        axes.set_xlabel("difference in points, with its interval")

    return draw_svg(
        "difference",
        draw,
        height=0.75 + _ROW * len(shown),
        describe="Difference of the student's score to each other model's, with intervals",
    )


def seeds_plot(models: Sequence[ModelFacts], *, metric: str, split: str) -> str:
    """Draws each seed's score, and the mean as a bar."""

    def draw(axes: Axes) -> None:
        for row, model in enumerate(models):
            style = point_style(number=row)
            color = style["color"]
            values = [100 * value for value in model.scores.values]
            axes.plot([min(values), max(values)], [row, row], color=color, linewidth=1.2, alpha=0.5)
            axes.plot(values, [row] * len(values), **{**style, "alpha": 0.75})
            mean = 100 * model.scores.mean
            axes.plot([mean, mean], [row - 0.2, row + 0.2], color=color, linewidth=2.4)
            _label_row(axes, row, model.label, value=wording.points(model.scores.mean))
        _finish_rows(axes, len(models))
        axes.margins(x=0.08)
        axes.set_xlabel(f"{wording.metric_name(metric)} ({split}), one mark per seed")

    return draw_svg(
        "seeds",
        draw,
        height=0.75 + _ROW * len(models),
        describe="Score of each seed of each model, and its mean",
    )


def size_plot(models: Sequence[ModelFacts]) -> str:
    """Draws file sizes."""

    def draw(axes: Axes) -> None:
        for row, model in enumerate(models):
            color = SERIES[row % NUM_SERIES]
            axes.barh([row], [model.file_bytes / 1e6], height=0.3, color=color, linewidth=0)
            size = wording.file_size(model.file_bytes)
            parameters = wording.magnitude(model.num_parameters)
            _label_row(axes, row, model.label, value=f"{size}, {parameters} parameters")
        _finish_rows(axes, len(models))
        axes.set_xlim(left=0)
        axes.set_xlabel("weight file (MB)")

    height = 0.75 + _ROW * len(models)
    return draw_svg("size", draw, height=height, describe="Size of each model's weight file")


def training_plot(distillation: Distillation) -> str | None:
    """Draws the loss in training; None if none was logged."""
    curves = distillation.train
    names = [name for name in curves if name not in {"step", "tokens"}]
    if "loss" not in names:
        return None
    series = [("total", curves["loss"])]
    series += [
        (name.removeprefix("loss_").replace("_", " "), curves[name])
        for name in names
        if name != "loss"
    ]
    return _curve_plot("training", curves, series, "training loss", {})


def held_out_plot(distillation: Distillation) -> str | None:
    """Draws masked-LM loss and KL on held-out text; None if none was measured."""
    names = {"mlm_loss": "masked LM", "kl_to_teacher": "KL to teacher"}
    curves = distillation.evaluate
    series = [(words, curves[name]) for name, words in names.items() if name in curves]
    levels = {"teacher's masked LM": distillation.after.get("teacher_mlm_loss")}
    return _curve_plot("heldout", curves, series, "held-out loss (nats)", levels)


def agreement_plot(distillation: Distillation) -> str | None:
    """Draws agreement with the teacher and accuracy on held-out text; None if not measured."""
    names = {
        "teacher_agreement": "agrees with teacher",
        "mlm_accuracy": "accuracy",
        "cosine": "cosine",
    }
    curves = distillation.evaluate
    series = [
        (words, [100 * value for value in curves[name]])
        for name, words in names.items()
        if name in curves
    ]
    accuracy = distillation.after.get("teacher_mlm_accuracy")
    levels = {"teacher's accuracy": None if accuracy is None else 100 * accuracy}
    return _curve_plot("agreement", curves, series, "on held-out text (%)", levels)


def _curve_plot(
    name: str,
    curves: dict[str, list[float]],
    series: Sequence[tuple[str, list[float]]],
    label: str,
    levels: dict[str, float | None],
) -> str | None:
    if not series:
        return None
    across = "tokens" if "tokens" in curves else "step"

    def draw(axes: Axes) -> None:
        xs, unit = _in_units(curves[across])
        few = len(xs) <= 30
        for number, (words, values) in enumerate(series):
            # The student's colour first: these are its curves.
            style = point_style((number + 1) % NUM_SERIES)
            if not few:
                style |= {"marker": ""}
            axes.plot(xs, values, **{**style, "markersize": 4, "linestyle": "-"}, label=words)
        for words, level in levels.items():
            if level is not None:
                axes.axhline(level, color=SERIES[0], linestyle=(0, (5, 3)), label=words)
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

    num_lines = -(-(len(series) + sum(v is not None for v in levels.values())) // 2)
    describe = f"{label} over {across}: {', '.join(words for words, _ in series)}"
    top = 0.2 + 0.19 * num_lines
    return draw_svg(
        name, draw, height=2.5 + top, describe=describe, top=top, width=NARROW, has_ticks=True
    )


def _number_of(report: Report, label: str) -> int:
    return [model.label for model in report.models].index(label)


def _label_row(axes: Axes, row: int, text: str, *, value: str) -> None:
    """Writes a row's name above its mark on the left, and its figure on the right."""
    available = 54 - len(value)
    shown = text if len(text) <= available else text[: available - 1] + "…"
    place: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "va": "baseline",
        "clip_on": False,
    }
    axes.text(0, row - 0.3, shown, ha="left", color=INK, **place)
    axes.text(1, row - 0.3, value, ha="right", color=MUTED, **place)


def _finish_rows(axes: Axes, num_rows: int) -> None:
    axes.set_ylim(num_rows - 0.45, -0.65)  # the first row on top
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)


def _in_units(values: Sequence[float]) -> tuple[list[float], str]:
    highest = max(values, default=0.0)
    for limit, words in ((2e9, " (billions)"), (2e6, " (millions)"), (2e4, " (thousands)")):
        if highest >= limit:
            scale = {" (billions)": 1e9, " (millions)": 1e6, " (thousands)": 1e3}[words]
            return [value / scale for value in values], words
    return list(values), ""
