"""The speed of all models of a `compress` run, measured side by side once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.files import read_json, write_json
from limbeck.inference.speed import Round, Speed
from limbeck.recipes._run import describe_hardware
from limbeck.report.runs import FinetuneRun
from limbeck.report.speeds import measure_runs
from limbeck.train import Progress

_FILE = "speeds.json"


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
    path, machine = out / _FILE, describe_hardware()
    labels = [run.label for run in runs]
    if path.exists():
        found = read_json(path, error=DataError)
        if found["machine"] == machine and set(labels) <= set(found["speeds"]):
            progress.log("the speed of all was measured before")
            return {label: _read_speed(found["speeds"][label]) for label in labels}
    progress.log("measuring the speed of all, side by side")
    speeds = measure_runs(runs, split=split, device=device, progress=progress)
    written = {label: speed.to_dict() for label, speed in speeds.items()}
    write_json(path, {"machine": machine, "speeds": written}, error=DataError)
    return speeds


def _read_speed(values: Mapping[str, Any]) -> Speed:
    """Returns what `Speed.to_dict` was made of; quartiles follow from the rounds."""
    names = Speed.__dataclass_fields__
    given = {name: value for name, value in values.items() if name in names}
    return Speed(**{**given, "rounds": tuple(Round(**r) for r in values["rounds"])})
