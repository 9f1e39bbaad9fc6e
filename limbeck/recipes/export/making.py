"""Exports that are made and judged before they are put up, and repaired where asked."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from limbeck.errors import ExportError
from limbeck.export import (
    Narrowing,
    Target,
    list_modules,
    measure_sensitivity,
    steps_told_to,
    time_run,
    write_export,
)
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes.export.gate import Verdict
from limbeck.recipes.export.source import Source
from limbeck.report import figures
from limbeck.runs.export import RepairRecord
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Made:
    """An export that has been judged, where it was made.

    Attributes:
        target: Its target.
        folder: Where it is for now.
        verdict: What is known of it.
        file_bytes: Size of the files that are run.
        widths: What a repair kept modules in, the most sensitive first; None stands for float.
        before: What it was before the repair; None if it was not repaired.
        num_exports: How many were made of it.
    """

    target: Target
    folder: Path
    verdict: Verdict
    file_bytes: int
    widths: Mapping[str, Narrowing | None] = field(default_factory=dict)
    before: Made | None = None
    num_exports: int = 1


def make_export(source: Source, target: Target, workshop: Path, progress: Progress) -> Made:
    """Exports to a target and judges what came of it; repairs it where that is asked for.

    Args:
        source: What is exported.
        target: To what.
        workshop: Folder to work in.
        progress: Where it is told.
    """
    with showing_steps(target, progress):
        rows = source.calibrate(target)
        batches = () if rows is None else rows.batches
        target = target.fit_to(source.graph, batches, keep_float=source.keep_float)
    first = _export(source, target, workshop / target.shown_name, progress)
    is_narrow = target.precision != "fp32"
    if first.verdict.refusal is None or not (source.settings.repair and is_narrow):
        return first
    progress.log(f"{target.shown_name}: {first.verdict.refusal}; looking for what to keep wider")
    return _repair(source, first, workshop, progress)


def _repair(source: Source, first: Made, workshop: Path, progress: Progress) -> Made:
    """Widens the most sensitive modules, each by a step at a time: as few as the bound needs.

    How many steps is doubled until the bound holds, and then halved back to the fewest: of n steps
    some 2 log2(n) exports are made, most often one or two. What is found is kept at once in the
    run's folder, so that a repair that was interrupted goes on from there.
    """
    target, place = first.target, source.place_repair(first.target)
    found = RepairRecord(costs={}, refusals={})
    if RepairRecord.exists(place):
        found = RepairRecord.read(place)
    found = _measure(source, target, found, progress)
    steps = _rank(found)
    made: dict[int, Made] = {}

    def export(count: int) -> Made:
        folder = workshop / f"{target.shown_name}-{count}"
        return _export(source, target, folder, progress, widths=_widen(steps[:count], target))

    def holds(count: int) -> bool:
        nonlocal found
        if count not in found.refusals:
            made[count] = export(count)
            refusal = made[count].verdict.refusal
            found = _keep(found, place, refusals={**found.refusals, count: refusal})
            kept = group_widths(made[count].widths)
            told = ", ".join(f"{len(names)} in {precision}" for precision, names in kept.items())
            progress.log(
                f"{target.shown_name} with {told}, of {len({*steps})} layers: "
                f"{refusal or 'the bound holds'}"
            )
        return found.refusals[count] is None

    low, high = 0, 1
    while not holds(high):
        if high == len(steps):
            return replace(first, num_exports=1 + len(found.refusals))
        low, high = high, min(2 * high, len(steps))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    best = made[high] if high in made else export(high)
    return replace(best, before=first, num_exports=1 + len(found.refusals))


def _measure(
    source: Source, target: Target, found: RepairRecord, progress: Progress
) -> RepairRecord:
    """Returns what is found once it has the costs of every module that may be kept wider."""
    place, widths = source.place_repair(target), (target, *target.wider)
    wanted = [name for name in list_modules(source.graph) if name not in source.keep_float]
    total, done = len(wanted) * len(widths), sum(map(len, found.costs.values()))
    if done:
        progress.log(
            f"{target.shown_name}: goes on with what was found before, {done} of {total} "
            f"sensitivities and {figures.number_of(len(found.refusals), 'export')}"
        )
    batches = source.sensitivity_rows.batches
    with progress.stage(
        f"{target.shown_name}: measuring sensitivity", total=total, unit="layers"
    ) as stage:
        stage.advance(done)
        for number, narrowing in enumerate(widths):
            known = {name for name, costs in found.costs.items() if len(costs) > number}
            skip = {*source.keep_float, *known}
            for one in measure_sensitivity(source.graph, narrowing, batches, skip=skip):
                before = found.costs.get(one.name, ())
                # Wider is no worse; that it was measured so is noise. JSON has no infinity.
                cost = min([one.cost, sys.float_info.max, *before[-1:]])
                found = _keep(found, place, costs={**found.costs, one.name: (*before, cost)})
                stage.advance()
    return found


def _keep(found: RepairRecord, place: Path, **changes: Any) -> RepairRecord:
    return found.model_copy(update=changes).write(place, error=ExportError)


def _rank(found: RepairRecord) -> list[str]:
    """Returns the modules in the order in which they are widened, each once for each step.

    What a module costs as it is now decides: the one that costs most is the next. One that eight
    bits don't help is so in float before others are touched.
    """
    steps = [
        (-cost, step, name)
        for name, costs in found.costs.items()
        for step, cost in enumerate(costs)
    ]
    return [name for _, _, name in sorted(steps, key=lambda each: each[:2])]


def describe_repair(source: Source, target: Target) -> str:
    """Says, for a dry run, what a repair would do if the bound were broken."""
    if target.precision == "fp32":
        return "none: there is nothing to keep wider, as all is in float"
    if target.engine is None:
        return "none: it can't be run here, so that nothing can break the bound"
    rows, widths = source.sensitivity_rows, 1 + len(target.wider)
    count = len(list_modules(source.graph)) - len(source.keep_float)
    seconds = time_run(source.graph, rows.batches) * (1 + count) * widths
    most = 2 * math.ceil(math.log2(max(count * widths, 2)))
    times = "" if widths == 1 else f" in {widths} precisions"
    return (
        f"if the bound is broken, {figures.number_of(count, 'layer')} narrowed in turn{times} and "
        f"compared on {rows.num_rows} {rows.source}, some {figures.duration(max(seconds, 1))} "
        f"here; then exports with the most sensitive ones wider, most often one or two and up to "
        f"{most}, each judged as the first"
    )


def _widen(steps: Sequence[str], target: Target) -> dict[str, Narrowing | None]:
    """Returns what modules are kept in after some steps, the first that was widened first.

    None stands for float.
    """
    counts = Counter(steps)
    widths = (*target.wider, None)
    return {name: widths[count - 1] for name, count in counts.items()}


def group_widths(widths: Mapping[str, Narrowing | None]) -> dict[str, list[str]]:
    """Returns modules by what they are kept in, such as int8 or float."""
    found: dict[str, list[str]] = {}
    for name, narrowing in widths.items():
        found.setdefault("float" if narrowing is None else narrowing.precision, []).append(name)
    return dict(sorted(found.items(), reverse=True))


def _export(
    source: Source,
    target: Target,
    folder: Path,
    progress: Progress,
    *,
    widths: Mapping[str, Narrowing | None] = MappingProxyType({}),
) -> Made:
    in_float = [name for name, narrowing in widths.items() if narrowing is None]
    widened = {name: narrowing for name, narrowing in widths.items() if narrowing is not None}
    with showing_steps(target, progress):
        rows = source.calibrate(target)
        write_export(
            source.folder,
            folder,
            target.widen(widened) if widened else target,
            graph=source.graph,
            calibration=() if rows is None else rows.batches,
            keep_float=(*source.keep_float, *in_float),
        )
        verdict = source.gate.judge(folder, target)
    return Made(
        target=target,
        folder=folder,
        verdict=verdict,
        file_bytes=count_bytes(folder),
        widths=widths,
    )


@contextmanager
def showing_steps(target: Target, progress: Progress) -> Iterator[None]:
    """Shows what is begun within the block, each until the next one begins."""
    with ExitStack() as running:

        def show(words: str) -> None:
            running.close()
            stage = progress.stage(f"{target.shown_name}: {words}", total=None, unit="")
            running.enter_context(stage)

        with steps_told_to(show):
            yield
