"""The page of models side by side: their speed, size and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.cores import count_usable_cores
from limbeck.inference.bench import Contest, Measured
from limbeck.inference.engines import find_engine
from limbeck.inference.speed import Quartiles, Speed, SpeedUp, compare_speed
from limbeck.report import figures
from limbeck.report.drawing import Drawing, draw, point_style
from limbeck.report.page import Fold, Page, Picture, Plot, Plots, Section, Table, Terms
from limbeck.report.plots import finish_rows, label_row
from limbeck.report.render import write_page
from limbeck.runs.machine import describe_hardware, describe_versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME = "bench"
_ROW = 0.46  # inches


def write_bench(contest: Contest, out: Path, *, sample: str) -> dict[str, Path]:
    """Writes the page, as HTML and Markdown with its picture; returns the path of each kind.

    Args:
        contest: What was measured.
        out: Folder to write to; made if it does not exist.
        sample: What was read, in words.
    """
    return write_page(make_page(contest, sample=sample), out, name=_NAME)


def make_page(contest: Contest, *, sample: str) -> Page:
    """Returns what the page of a contest says."""
    labels = tuple(contest.contestants)
    sections = [
        Section(
            title=figures.capitalise(name_condition(measured)),
            blocks=(_speed_table(contest, measured), _plots(measured, number)),
        )
        for number, measured in enumerate(contest.measured)
    ]
    if contest.footprints:
        sections.append(Section(title="Size and memory", blocks=(_footprint_table(contest),)))
    conditions = Fold(title="Conditions", block=_describe(contest, sample), is_open=True)
    sections.append(Section(title="How it was measured", blocks=(conditions,)))
    return Page(
        title="Models side by side",
        headline=headline(contest),
        sections=tuple(sections),
        models=labels,
        picture=Picture(
            file=f"{_NAME}.svg", drawing=_draw_latency(contest.measured[0], name="picture")
        ),
    )


def headline(contest: Contest) -> str:
    """Says by how much the fastest model is faster than the first, as far as the rounds agree.

    The ratios count within rounds, of the first condition that was measured.
    """
    measured = contest.measured[0]
    batch_size, speeds = list(measured.speeds.items())[-1]
    first, *others = contest.contestants
    if not others:
        wait = measured.latencies[first].latency_ms.median
        rate = speeds[first].texts_per_second.median
        return f"{first}: {wait:.2f} ms a text, {rate:,.0f} texts/s in batches of {batch_size}."
    alone = _fastest(measured.latencies, first, lambda ratio: ratio.latency)
    together = _fastest(speeds, first, lambda ratio: ratio.throughput)
    return f"One text at a time {alone}; in batches of {batch_size} {together}."


def _fastest(speeds: Mapping[str, Speed], first: str, read: Callable[[SpeedUp], Quartiles]) -> str:
    """Words which model is the fastest; where the quartiles take in 1, none is."""
    ratios = {
        label: read(compare_speed(speed, reference=speeds[first]))
        for label, speed in speeds.items()
        if label != first
    }
    label, ratio = max(ratios.items(), key=lambda item: item[1].median)
    if ratio.upper < 1:
        return f"{first} is the fastest"
    if ratio.lower <= 1:
        return f"none is clearly faster than {first}"
    return f"{label} is {ratio.median:.2f} times as fast as {first}"


def speed_rows(contest: Contest, measured: Measured) -> list[tuple[str, ...]]:
    """Returns a table's cells: a line of names, then one for each contestant."""
    sizes = list(measured.speeds)
    head = ["model", "engine", "precision", "p50 (ms)", "p95 (ms)", "p99 (ms)"]
    head += [f"texts/s, batch {size}" for size in sizes]
    head += ["speed-up, one text", *(f"speed-up, batch {size}" for size in sizes)]
    reference = next(iter(contest.contestants))
    rows = [tuple(head)]
    for label, names in contest.contestants.items():
        ratios = [
            compare_speed(speeds[label], reference=speeds[reference])
            for speeds in measured.speeds.values()
        ]
        waits = measured.latencies[label].percentiles_ms
        assert waits is not None, "what was just measured has them"
        cells = [label, *names]
        cells += [f"{value:,.2f}" for value in (waits.p50, waits.p95, waits.p99)]
        cells += [
            f"{speeds[label].texts_per_second.median:,.1f}" for speeds in measured.speeds.values()
        ]
        cells += [f"{ratios[0].latency.median:.2f}x"]
        cells += [f"{ratio.throughput.median:.2f}x" for ratio in ratios]
        rows.append(tuple(cells))
    return rows


def footprint_rows(contest: Contest) -> list[tuple[str, ...]]:
    """Returns a table's cells: sizes of files and memory."""
    rows: list[tuple[str, ...]] = [("model", "files", "memory of the model", "of the process")]
    for label, found in contest.footprints.items():
        sizes = (found.file_bytes, found.loaded_bytes, found.peak_bytes)
        rows.append((label, *(figures.or_none(size, figures.file_size) for size in sizes)))
    return rows


def name_condition(measured: Measured) -> str:
    """Words a condition.

    Example:
        >>> name_condition(Measured(num_threads=2, num_tokens=None, speeds={}))
        'texts as they are, 2 threads'
        >>> name_condition(Measured(num_threads=None, num_tokens=128, speeds={}))
        'texts of 128 tokens'
    """
    length = measured.num_tokens
    words = "texts as they are" if length is None else f"texts of {length} tokens"
    if measured.num_threads is None:
        return words
    return f"{words}, {figures.number_of(measured.num_threads, 'thread')}"


def word_threads(contest: Contest) -> str:
    """Says with how many threads all was measured."""
    given = dict.fromkeys(measured.num_threads for measured in contest.measured)
    if None in given:
        return f"each engine's own number, on {count_usable_cores()} cores"
    return ", ".join(map(str, given))


def _speed_table(contest: Contest, measured: Measured) -> Table:
    head, *rows = speed_rows(contest, measured)
    return Table(title="Speed", columns=head, rows=tuple(rows), note=explain_speeds(contest))


def explain_speeds(contest: Contest) -> str:
    """Says how the table of speeds is read."""
    return (
        "p50, p95, p99: milliseconds of single texts, over all rounds. Speed-up: how many times as "
        f"fast as {next(iter(contest.contestants))}, the median of the ratios taken within each "
        "round."
    )


def _footprint_table(contest: Contest) -> Table:
    head, *rows = footprint_rows(contest)
    return Table(
        title="Size and memory",
        columns=head,
        rows=tuple(rows),
        note=(
            "Memory of the model: what a new process grew by when the model was loaded and had "
            "answered a batch. Of the process: the most it had at a time, Python and libraries "
            "included."
        ),
    )


def _plots(measured: Measured, number: int) -> Plots:
    batch_size, speeds = list(measured.speeds.items())[-1]
    return Plots(
        plots=(
            Plot(
                title="Throughput",
                drawing=_draw_throughput(speeds, name=f"throughput-{number}"),
                caption=f"In batches of {batch_size}; further right is better.",
            ),
            Plot(
                title="Latency",
                drawing=_draw_latency(measured, name=f"latency-{number}"),
                caption="Of single texts: the mark is p50, the line goes to p95 and p99.",
            ),
        )
    )


def _draw_throughput(speeds: Mapping[str, Speed], *, name: str) -> Drawing:
    def paint(axes: Axes) -> None:
        for row, (label, speed) in enumerate(speeds.items()):
            value = speed.texts_per_second.median
            axes.barh([row], [value], height=0.3, color=point_style(row)["color"], linewidth=0)
            label_row(axes, row, label, value=f"{value:,.0f}/s")
        finish_rows(axes, len(speeds))
        axes.set_xlim(left=0)
        axes.set_xlabel("texts a second")

    return draw(
        name,
        paint,
        height=0.75 + _ROW * len(speeds),
        describe="Texts a second of each model",
    )


def _draw_latency(measured: Measured, *, name: str) -> Drawing:
    def paint(axes: Axes) -> None:
        for row, (label, speed) in enumerate(measured.latencies.items()):
            waits = speed.percentiles_ms
            assert waits is not None
            style = point_style(row)
            axes.plot([waits.p50, waits.p99], [row, row], color=style["color"], linewidth=1.2)
            axes.plot([waits.p95, waits.p95], [row - 0.12, row + 0.12], color=style["color"])
            axes.plot([waits.p50], [row], **style)
            label_row(axes, row, label, value=f"{waits.p50:,.1f} ms, p99 {waits.p99:,.1f}")
        finish_rows(axes, len(measured.latencies))
        axes.set_xlim(left=0)
        axes.set_xlabel("milliseconds a text")

    return draw(
        name,
        paint,
        height=0.75 + _ROW * len(measured.latencies),
        describe="Milliseconds a text of each model",
    )


def _describe(contest: Contest, sample: str) -> Terms:
    first = next(iter(contest.measured[0].latencies.values()))
    hardware, versions = describe_hardware(), describe_versions()
    for engine, _ in contest.contestants.values():
        versions |= {package: version(package) for package in find_engine(engine).packages}
    terms: Sequence[tuple[str, Any]] = (
        ("Texts", sample),
        ("Single texts", first.num_latency_texts),
        ("Rounds", len(first.rounds)),
        ("Longest input", f"{contest.longest_input} tokens"),
        ("Device", first.device),
        ("Threads", word_threads(contest)),
        ("Processor", f"{hardware.cpu}, {hardware.num_usable_cores} usable cores"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        *((f"Left out: {label}", reason) for label, reason in contest.left_out.items()),
    )
    return Terms(terms=tuple((name, str(value)) for name, value in terms))
