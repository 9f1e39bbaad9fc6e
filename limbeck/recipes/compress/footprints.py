"""What the models of a search take of memory, each loaded in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from limbeck.errors import LimbeckError
from limbeck.inference.footprint import Footprint, measure_footprint
from limbeck.recipes.compress.targets import TORCH
from limbeck.report.runs import FinetuneRun
from limbeck.runs.costs import FootprintsRecord
from limbeck.runs.machine import describe_hardware
from limbeck.train import Progress


def measure_memory(
    runs: Sequence[FinetuneRun], *, out: Path, engines: Mapping[str, str], progress: Progress
) -> dict[str, Footprint]:
    """Returns what each takes of memory, measured on this machine at most once.

    Args:
        runs: The models.
        out: The run folder, which keeps what was measured.
        engines: What runs those that are not run by torch, by their labels.
        progress: Where it is told.
    """
    machine = describe_hardware()
    known: dict[str, Footprint] = {}
    if FootprintsRecord.exists(out):
        record = FootprintsRecord.read(out)
        known = dict(record.footprints) if record.machine == machine else {}
    missing = [run for run in runs if run.label not in known]
    with progress.stage("Measuring memory", total=len(missing), unit="models") as stage:
        for run in missing:
            try:
                known[run.label] = measure_footprint(
                    run.seeds[0].model,
                    name=engines.get(run.label, TORCH),
                    num_threads=torch.get_num_threads(),
                    device="cpu",
                )
            except LimbeckError as error:
                progress.log(f"{run.label}: {error}")
            stage.advance()
    if missing:
        FootprintsRecord(machine=machine, footprints=known).write(out)
    return known
