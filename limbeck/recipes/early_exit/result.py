"""What is said of a finished run: its record, its page and its lines on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.inference.footprint import Footprint
from limbeck.inference.speed import Percentiles, Speed
from limbeck.models import EarlyExitModel
from limbeck.recipes._compared import find_difference, make_estimate
from limbeck.recipes._tasks.footprints import describe_memory
from limbeck.recipes._teacher import FULL
from limbeck.recipes.early_exit.choosing import Answers, Outcome
from limbeck.recipes.early_exit.costs import EXITS
from limbeck.recipes.early_exit.parts import Parts
from limbeck.report import figures, wording
from limbeck.report.drawing import WIDTH, Drawing, draw, point_style
from limbeck.report.facts import Report
from limbeck.report.page import Plot, Plots, Section, Table
from limbeck.report.parts import some
from limbeck.report.tables import align_rows
from limbeck.runs import BoundTried, EarlyExitRecord, ExitShare, hash_model_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = 0.62  # inches on the left for the figures of an axis
_WIDE = 9.4  # inches: two figures side by side
_NAMES = {
    "entropy": "entropy, over its maximum,",
    "probability": "most probable answer's lack to 1",
    "change": "change from the exit before",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of a model with exits at the end of a run.

    Attributes:
        model: The model, with its bound.
        parts: The task's data.
        num_steps: Steps that the exits were trained for.
        exits: Where inputs leave, of those that are reported; the end of the model last.
        full_operations: Operations of a text without exits.
        tried: What comes of each bound.
        speeds: Of the model without and with exits; none where they were not measured.
        memory: What both take of it, likewise.
        retain: Share of the score that the bound was chosen to keep; None where it was given.
    """

    model: EarlyExitModel
    parts: Parts
    num_steps: int
    exits: tuple[ExitShare, ...]
    full_operations: int
    tried: tuple[BoundTried, ...]
    speeds: Mapping[str, Speed]
    memory: Mapping[str, Footprint]
    retain: float | None

    @property
    def mean_layers(self) -> float:
        """Layers that a row runs through on average."""
        return sum(part.share * part.layer for part in self.exits)

    def waits(self, label: str) -> Percentiles | None:
        """Returns what a text waits with a model; None where it was not measured."""
        speed = self.speeds.get(label)
        return None if speed is None else speed.percentiles_ms

    def describe_memory(self) -> str | None:
        """Says in a sentence what both models take of memory; None where that is not known."""
        before, after = (self.memory.get(label) for label in (FULL, EXITS))
        return None if before is None or after is None else describe_memory(before, after)

    def describe_way(self) -> str:
        """Says in a sentence when an input leaves, and what decided that."""
        info, num_layers = self.model.info, self.exits[-1].layer
        when = (
            f"An input leaves by the first of the exits after layers {_list(info.layers)} of "
            f"{num_layers} whose {_NAMES[info.uncertainty]} is below {info.bound:.4g}"
        )
        if self.retain is None:
            return f"{when}, a bound that was given."
        return (
            f"{when}, the highest bound that keeps {figures.percent(self.retain)} of the score "
            f"{self.parts.describe()}. {self.parts.describe_reported()}"
        )


def _list(layers: Sequence[int]) -> str:
    *others, last = map(str, layers)
    return f"{', '.join(others)} and {last}" if others else last


def describe_exits(answers: Answers, operations: Sequence[int]) -> tuple[ExitShare, ...]:
    """Returns where inputs leave.

    Args:
        answers: On what is reported, of the model with the bound that was chosen.
        operations: Of a text that leaves by each exit, then by none.
    """
    model = answers.model
    chosen = answers.choose(model.info.bound).tolist()
    ends = (*model.info.layers, model.model.encoder.num_layers)
    return tuple(
        ExitShare(layer=layer, share=chosen.count(place) / len(chosen), num_operations=number)
        for place, (layer, number) in enumerate(zip(ends, operations, strict=True))
    )


def describe_tried(
    choosing: Sequence[Outcome], reported: Sequence[Outcome]
) -> tuple[BoundTried, ...]:
    """Returns what comes of each bound, on what it was chosen on and on what is reported."""
    return tuple(
        BoundTried(
            bound=own.bound,
            mean_layers=own.mean_layers,
            score=own.score,
            reported_mean_layers=other.mean_layers,
            reported_score=other.score,
        )
        for own, other in zip(choosing, reported, strict=True)
    )


def make_section(found: Found) -> Section:
    """Returns the part of the page on where inputs leave."""
    last, whole = found.exits[-1].layer, found.full_operations
    cells = [
        (_name_end(part.layer, last=last), figures.percent(part.share), part.num_operations)
        for part in found.exits
    ]
    cells.append(("on average", "", _mean_operations(found.exits)))
    table = Table(
        title="Where inputs leave",
        columns=("Exit", "Inputs", "Operations", "Of the full model's"),
        rows=tuple(
            (name, share, figures.magnitude(number), figures.percent(number / whole))
            for name, share, number in cells
        ),
        note=(
            f"On {found.parts.split}. Operations are those of matrix products on a text of "
            f"{found.parts.num_tokens} tokens, what exits on the way take included."
        ),
    )
    metric = found.parts.data.task.metric
    curve = Plot(
        title=figures.capitalise(f"{wording.metric_name(metric)} and layers run"),
        drawing=_draw_curve(found, metric=metric, name="exits-wide", width=_WIDE),
        narrow=_draw_curve(found, metric=metric, name="exits"),
        caption=(
            "Each point of a line is a bound. The right end is the model without exits, the marks "
            "are the bound that was taken."
        ),
    )
    return Section(
        title=table.title, blocks=some(Plots(plots=(curve,)), table, _waits_table(found))
    )


def _mean_operations(exits: Sequence[ExitShare]) -> int:
    return round(sum(part.share * part.num_operations for part in exits))


def _name_end(layer: int, *, last: int) -> str:
    return f"the end, layer {layer}" if layer == last else f"after layer {layer}"


def _waits_table(found: Found) -> Table | None:
    rows = [(label, *_wait_cells(speed.percentiles_ms)) for label, speed in found.speeds.items()]
    if not rows:
        return None
    return Table(
        title="What a text waits",
        columns=("Model", "Mean", "p50", "p95"),
        rows=tuple(rows),
        note=(
            "One text at a time, tokenised too, over all texts and rounds, the models in turns. "
            "The latency elsewhere on this page is the median text's."
        ),
    )


def _draw_curve(found: Found, *, metric: str, name: str, width: float = WIDTH) -> Drawing:
    tried, bound = found.tried, found.model.info.bound
    lines = {
        "examples that the bound was chosen on": [
            (point.mean_layers, point.score) for point in tried
        ],
        "examples that are reported": [
            (point.reported_mean_layers, point.reported_score) for point in tried
        ],
    }
    taken = min(tried, key=lambda point: abs(point.bound - bound))

    def paint(axes: Axes) -> None:
        for number, (label, points) in enumerate(lines.items()):
            style = {**point_style(number), "marker": None, "linestyle": "-"}
            axes.plot(*zip(*((x, 100 * y) for x, y in points), strict=True), label=label, **style)
        marks = (taken.mean_layers, taken.score), (taken.reported_mean_layers, taken.reported_score)
        for number, (x, y) in enumerate(marks):
            axes.plot([x], [100 * y], **point_style(number))
        axes.margins(0.05, 0.12)
        axes.set_xlabel("layers run on average")
        axes.set_ylabel(wording.short_metric_name(metric))
        axes.legend(frameon=False)

    return draw(
        name,
        paint,
        height=3.2,
        width=width,
        describe="Score against layers run on average, for every bound",
        left=_TICKS,
    )


def make_record(
    found: Found, report: Report, *, folder: Path, runs: tuple[Path, Path]
) -> EarlyExitRecord:
    """Returns what stands in `result.json`.

    Args:
        found: What is known.
        report: On the model without and with exits.
        folder: Of the model with exits.
        runs: Folders of the two evaluations.
    """
    full, own = report.models[0], report.model(EXITS)
    waits, full_waits = found.waits(EXITS), found.waits(FULL)
    unknown = Footprint(file_bytes=0)
    memory, full_memory = (found.memory.get(label, unknown) for label in (EXITS, FULL))
    faster, info = own.speed_up, found.model.info
    return EarlyExitRecord(
        examples_sha256=found.parts.data.fingerprint,
        task=report.task,
        metric=report.metric,
        split=report.split,
        num_examples=report.num_examples,
        chosen_on=found.parts.describe(),
        uncertainty=info.uncertainty,
        bound=info.bound,
        num_steps=found.num_steps,
        num_tokens=found.parts.num_tokens,
        num_layers=found.exits[-1].layer,
        mean_layers=found.mean_layers,
        exits=found.exits,
        full_num_operations=found.full_operations,
        full_file_bytes=full.file_bytes,
        file_bytes=own.file_bytes,
        full_score=full.scores.mean,
        score=own.scores.mean,
        difference=make_estimate(find_difference(report)),
        retained=make_estimate(own.retention),
        full_waits_ms=full_waits,
        waits_ms=waits,
        mean_speed_up=_divide_means(full_waits, waits),
        throughput_speed_up=None if faster is None else faster.throughput.median,
        full_loaded_bytes=full_memory.loaded_bytes,
        full_peak_bytes=full_memory.peak_bytes,
        loaded_bytes=memory.loaded_bytes,
        peak_bytes=memory.peak_bytes,
        tried=found.tried,
        full_run=str(runs[0]),
        exits_run=str(runs[1]),
        model=str(folder),
        model_files=hash_model_files(folder),
        headline=report.headline,
        files={kind: str(path) for kind, path in report.files.items()},
    )


def _divide_means(full: Percentiles | None, own: Percentiles | None) -> float | None:
    if full is None or own is None or full.mean is None or own.mean is None:
        return None
    return full.mean / own.mean


def summarise_result(result: EarlyExitRecord) -> str:
    """Formats a result: where inputs leave, both models side by side, the files."""
    metric = wording.metric_name(result.metric)
    rows = [("exit", "inputs", "operations")]
    rows += [
        (
            _name_end(part.layer, last=result.num_layers),
            figures.percent(part.share),
            figures.magnitude(part.num_operations),
        )
        for part in result.exits
    ]
    head = [
        "model",
        "layers run",
        "operations",
        "file",
        "peak memory",
        metric,
        "mean",
        "p50",
        "p95",
    ]
    models = [
        [
            FULL,
            str(result.num_layers),
            figures.magnitude(result.full_num_operations),
            figures.file_size(result.full_file_bytes),
            figures.or_none(result.full_peak_bytes, figures.file_size),
            figures.points(result.full_score),
            *_wait_cells(result.full_waits_ms),
        ],
        [
            EXITS,
            f"{result.mean_layers:.2f}",
            figures.magnitude(_mean_operations(result.exits)),
            figures.file_size(result.file_bytes),
            figures.or_none(result.peak_bytes, figures.file_size),
            figures.points(result.score),
            *_wait_cells(result.waits_ms),
        ],
    ]
    lines = ["", *align_rows(rows), "", *align_rows([head, *models]), "", result.headline]
    if result.mean_speed_up is not None and result.throughput_speed_up is not None:
        lines.append(
            f"It is {result.mean_speed_up:.2f} times as fast at batch 1 on average, and reads "
            f"{result.throughput_speed_up:.2f} times as many texts a second in batches."
        )
    return "\n".join(
        [*lines, "", f"The page:   {result.files['html']}", f"The model:  {result.model}"]
    )


def _wait_cells(waits: Percentiles | None) -> list[str]:
    if waits is None:
        return [figures.NONE] * 3
    return [figures.or_none(v, figures.milliseconds) for v in (waits.mean, waits.p50, waits.p95)]
