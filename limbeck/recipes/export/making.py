"""Exports that are made and judged before they are put up, and repaired where asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.export import Target, list_modules, measure_sensitivity, steps_told_to, write_export
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
        kept_float: Modules that a repair kept in float, the most sensitive first.
        before: What it was before the repair; None if it was not repaired.
        num_exports: How many were made of it.
    """

    target: Target
    folder: Path
    verdict: Verdict
    file_bytes: int
    kept_float: tuple[str, ...] = ()
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
    progress.log(f"{target.shown_name}: {first.verdict.refusal}; looking for what to keep in float")
    return _repair(source, first, workshop, progress)


def _repair(source: Source, first: Made, workshop: Path, progress: Progress) -> Made:
    """Keeps the most sensitive modules in float: as few of them as the bound needs.

    How many is doubled until the bound holds, and then halved back to the fewest: of n modules some
    2 log2(n) exports are made, most often one or two.
    """
    ranked = _rank(source, first.target, progress)
    made: dict[int, Made] = {}

    def holds(count: int) -> bool:
        kept = tuple(ranked[:count])
        folder = workshop / f"{first.target.name}-{count}"
        made[count] = _export(source, first.target, folder, progress, keep_float=kept)
        refusal = made[count].verdict.refusal
        progress.log(
            f"{first.target.shown_name} with {count} of {len(ranked)} layers in float: "
            f"{refusal or 'the bound holds'}"
        )
        return refusal is None

    low, high = 0, 1
    while not holds(high):
        if high == len(ranked):
            return replace(first, num_exports=1 + len(made))
        low, high = high, min(2 * high, len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return replace(made[high], before=first, num_exports=1 + len(made))


def _rank(source: Source, target: Target, progress: Progress) -> list[str]:
    """Returns the modules that may still be kept in float, the most sensitive first."""
    batches = source.sensitivity_rows.batches
    found = []
    name, total = target.shown_name, len(list_modules(source.graph))
    with progress.stage(f"{name}: measuring sensitivity", total=total, unit="layers") as stage:
        for one in measure_sensitivity(source.graph, target, batches):
            if one.name not in source.keep_float:
                found.append(one)
            stage.advance()
    return [one.name for one in sorted(found, key=lambda one: -one.cost)]


def _export(
    source: Source,
    target: Target,
    folder: Path,
    progress: Progress,
    *,
    keep_float: Sequence[str] = (),
) -> Made:
    with showing_steps(target, progress):
        calibration = source.calibration.batches if target.needs_calibration else ()
        write_export(
            source.folder,
            folder,
            target,
            graph=source.graph,
            calibration=calibration,
            keep_float=(*source.keep_float, *keep_float),
        )
        verdict = source.gate.judge(folder, target)
    return Made(
        target=target,
        folder=folder,
        verdict=verdict,
        file_bytes=count_bytes(folder),
        kept_float=tuple(keep_float),
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
