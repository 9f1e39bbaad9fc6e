"""Exports that are made and judged before they are put up, and repaired where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from limbeck.export import (
    Narrowing,
    Target,
    list_modules,
    measure_sensitivity,
    steps_told_to,
    write_export,
)
from limbeck.recipes._tasks.predictions import count_bytes
from limbeck.recipes.export.gate import Verdict
from limbeck.recipes.export.source import Source
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
    first = _export(source, target, workshop / target.name, progress)
    is_narrow = target.precision != "fp32"
    if first.verdict.refusal is None or not (source.settings.repair and is_narrow):
        return first
    progress.log(f"{target.shown_name}: {first.verdict.refusal}; looking for what to keep wider")
    return _repair(source, first, workshop, progress)


def _repair(source: Source, first: Made, workshop: Path, progress: Progress) -> Made:
    """Widens the most sensitive modules, each by a step at a time: as few as the bound needs.

    How many steps is doubled until the bound holds, and then halved back to the fewest: of n steps
    some 2 log2(n) exports are made, most often one or two.
    """
    steps = _rank(source, first.target, progress)
    made: dict[int, Made] = {}

    def holds(count: int) -> bool:
        widths = _widen(steps[:count], first.target)
        folder = workshop / f"{first.target.name}-{count}"
        made[count] = _export(source, first.target, folder, progress, widths=widths)
        refusal = made[count].verdict.refusal
        told = ", ".join(f"{len(n)} in {p}" for p, n in group_widths(widths).items())
        progress.log(
            f"{first.target.shown_name} with {told}, of {len({*steps})} layers: "
            f"{refusal or 'the bound holds'}"
        )
        return refusal is None

    low, high = 0, 1
    while not holds(high):
        if high == len(steps):
            return replace(first, num_exports=1 + len(made))
        low, high = high, min(2 * high, len(steps))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return replace(made[high], before=first, num_exports=1 + len(made))


def _rank(source: Source, target: Target, progress: Progress) -> list[str]:
    """Returns the modules in the order in which they are widened, each once for each step.

    What a module costs as it is now decides: the one that costs most is the next. One that eight
    bits don't help is so in float before others are touched.
    """
    batches = source.sensitivity_rows.batches
    widths = (target, *target.wider)
    total = len(list_modules(source.graph)) * len(widths)
    costs: dict[str, list[float]] = {}
    with progress.stage(
        f"{target.shown_name}: measuring sensitivity", total=total, unit="layers"
    ) as stage:
        for narrowing in widths:
            for one in measure_sensitivity(source.graph, narrowing, batches):
                # Wider is no worse; that it was measured so is noise.
                of_module = costs.setdefault(one.name, [])
                of_module.append(min([one.cost, *of_module[-1:]]))
                stage.advance()
    steps = [
        (-cost, step, name)
        for name, of_module in costs.items()
        for step, cost in enumerate(of_module)
        if name not in source.keep_float
    ]
    return [name for _, _, name in sorted(steps, key=lambda each: each[:2])]


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
        calibration = source.calibration.batches if target.needs_calibration else ()
        write_export(
            source.folder,
            folder,
            target.widen(widened) if widened else target,
            graph=source.graph,
            calibration=calibration,
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
