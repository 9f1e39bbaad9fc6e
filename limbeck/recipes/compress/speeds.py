"""The speed of all models of a `compress` run, measured side by side once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.inference.speed import Speed
from limbeck.report.runs import FinetuneRun
from limbeck.report.speeds import measure_runs
from limbeck.runs import SpeedsRecord
from limbeck.runs.machine import describe_hardware
from limbeck.train import Progress


def measure_once(
    runs: Sequence[FinetuneRun], *, out: Path, split: str, device: str, progress: Progress
) -> dict[str, Speed]:
    """Measures all models in one run, unless all of them were measured so on this machine before.

    Args:
        runs: The models; a label stands for the same model as long as the run folder does.
        out: The run folder, which keeps what was measured.
        split: Where the examples come from.
        device: Where to measure.
        progress: Where to report.
    """
    machine = describe_hardware()
    if SpeedsRecord.exists(out):
        found = SpeedsRecord.read(out)
        if found.machine == machine and {run.label for run in runs} <= set(found.speeds):
            progress.log("the speed of all was measured before")
            return {run.label: found.speeds[run.label] for run in runs}
    progress.log("measuring the speed of all, side by side")
    speeds = measure_runs(runs, split=split, device=device, progress=progress)
    SpeedsRecord(machine=machine, speeds=speeds).write(out)
    return speeds
