"""The costs of models on this machine: as they were measured before where that still holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from limbeck.cores import count_usable_cores
from limbeck.errors import ExportError
from limbeck.export import Target
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.compress.costs import CostModel
from limbeck.recipes.compress.costs.probes import choose_probes, measure_probes
from limbeck.recipes.compress.sources import Source
from limbeck.recipes.compress.targets import name_target
from limbeck.report.figures import percent
from limbeck.runs.costs import CostsRecord, Probe
from limbeck.runs.machine import describe_hardware
from limbeck.train import Progress

_LARGEST_ERROR = 0.5
"""A latency that may be off by more than this is measured once more: it would refuse nothing."""


def measure_costs(
    out: Path,
    sources: Sequence[Source],
    targets: Sequence[Target | None],
    data: TaskData,
    texts: Mapping[int, Any],
    *,
    with_memory: bool,
    progress: Progress,
) -> tuple[CostModel, CostsRecord]:
    """Tells what all sources take in all formats, by a few that are timed.

    What stands in the run folder is used where it was measured on this machine, with these
    versions, and fits. A fit that does not is made once more, and the better one of the two counts.

    Args:
        out: The run folder; nothing is written to it.
        sources: All that may be tried.
        targets: The formats.
        data: The task's.
        texts: An example to time, by its tokens.
        with_memory: Whether each is also loaded in a process of its own.
        progress: Where it is told.

    Raises:
        ExportError: If no format could be timed.
    """
    probed = choose_probes(sources, min(texts))

    def fit(record: CostsRecord) -> CostModel:
        shapes = {source.name: source.shape for source in sources}
        probes = [probe for probe in record.probes if set(probe.latencies_ms) == set(texts)]
        return CostModel(
            probes, shapes, [t for t in targets if name_target(t) not in record.failed]
        )

    def measure() -> CostsRecord:
        load = _read_load()
        probes, failed = measure_probes(
            probed, targets, data, texts, with_memory=with_memory, progress=progress
        )
        if not probes:
            raise ExportError("; ".join(failed.values()))
        return CostsRecord(
            machine=describe_hardware(),
            versions=_describe_versions(targets),
            load=None if load is None else max(load, _read_load() or 0.0),
            probes=probes,
            failed=failed,
        )

    before = CostsRecord.read(out) if CostsRecord.exists(out) else None
    wanted = {(source.name, name_target(target)) for source in probed for target in targets}
    if before is not None:
        changed = _find_change(before, targets)
        if changed is not None:
            progress.log(f"{out} {changed}: measuring again")
            before = None
        elif not _covers(before, wanted, set(texts), with_memory=with_memory):
            before = None
    if before is None:
        progress.log("timing a few models, to tell what all would take")
        before = measure()
    costs = fit(before)
    # Two models tell little of each other, however well they are timed.
    error = costs.error if len(probed) > 2 else costs.noise
    if error <= _LARGEST_ERROR:
        return costs, before
    busy = "" if before.load is None else f" (load {before.load:.1f} of each core)"
    progress.log(
        f"latencies may be off by {percent(error)}{busy}: timing once more, and the better "
        "one counts"
    )
    again = measure()
    refit = fit(again)
    return (refit, again) if refit.error < costs.error else (costs, before)


def _find_change(record: CostsRecord, targets: Sequence[Target | None]) -> str | None:
    """Says what of this machine differs from the one that was measured; None if nothing does."""
    here, there = describe_hardware(), record.machine
    if (here.cpu, here.num_usable_cores) != (there.cpu, there.num_usable_cores):
        return (
            f"was measured on another machine ({there.cpu}, {there.num_usable_cores} cores), and "
            f"this is {here.cpu}, {here.num_usable_cores} cores"
        )
    if here.num_threads != there.num_threads:
        return f"was measured with {there.num_threads} threads, and these are {here.num_threads}"
    if here != there:
        return f"was measured on another system ({there.system})"
    now = _describe_versions(targets)
    old = {name: record.versions.get(name) for name in now}
    changed = [f"{name} {old[name]}, now {now[name]}" for name in now if old[name] != now[name]]
    return f"was measured with other versions ({', '.join(changed)})" if changed else None


def _covers(
    record: CostsRecord, wanted: set[tuple[str, str]], lengths: set[int], *, with_memory: bool
) -> bool:
    def is_known(probe: Probe) -> bool:
        has_memory = probe.loaded_bytes is not None or not with_memory
        return set(probe.latencies_ms) == lengths and has_memory

    known = {(probe.source, probe.target) for probe in record.probes if is_known(probe)}
    return {pair for pair in wanted if pair[1] not in record.failed} <= known


def _describe_versions(targets: Sequence[Target | None]) -> dict[str, str]:
    """Returns the versions of what runs the formats."""
    names = {"torch"} | {str(target.engine) for target in targets if target is not None}
    found = {}
    for name in sorted(names):
        with suppress(metadata.PackageNotFoundError):  # an engine that is no package of that name
            found[name] = metadata.version(name)
    return found


def _read_load() -> float | None:
    """Returns how many programs have wanted each core in the last minute, where that is known."""
    with suppress(AttributeError, OSError):  # not on Windows
        return os.getloadavg()[0] / count_usable_cores()
    return None
