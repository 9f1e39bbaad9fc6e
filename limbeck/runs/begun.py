"""A run that failed before it made anything leaves no folder that would refuse the next one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import TrainingError
from limbeck.runs.examples import ExamplesRecord
from limbeck.runs.run import RunRecord
from limbeck.train import METRICS_FILE, read_metrics

DATA_FOLDER = "data"
"""Where a run folder holds rows that were in memory, one file a split."""
MODELS_FOLDER = "given"
"""Where it holds models that were in memory, a folder each."""

_SAYS_LITTLE = (RunRecord.FILE_NAME, ExamplesRecord.FILE_NAME)
_BOARD = "tensorboard"  # the figures of the metrics once more


def forget_if_nothing_was_made(begun: Sequence[Path]) -> None:
    """Removes what a run that failed has begun, unless it has made something worth keeping.

    That is any file but the record of what was asked for, and figures of which none is of a
    training step.

    Args:
        begun: Files and folders of the run, all of its own making.
    """
    files = [file for entry in begun for file in _files_in(entry)]
    if any(_is_worth_keeping(file) for file in files):
        return
    for entry in begun:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def describe_begun(folder: Path) -> str:
    """Says what a command does that is given again after it was interrupted.

    Args:
        folder: Of its run; it need not be there.
    """
    entries = folder.iterdir() if folder.is_dir() else ()
    begun = (file for entry in entries if not is_given(entry) for file in _files_in(entry))
    if any(_is_worth_keeping(file) for file in begun):
        return f"the same command goes on with what stands in {folder}"
    return "nothing was made yet, and the same command begins anew"


def _files_in(entry: Path) -> list[Path]:
    if not entry.is_dir():
        return [entry]
    return [file for file in entry.rglob("*") if not file.is_dir()]


def _is_worth_keeping(file: Path) -> bool:
    if file.name in _SAYS_LITTLE or file.name.startswith(".") or file.parent.name == _BOARD:
        return False
    if file.name == METRICS_FILE:
        try:
            return any(line.kind == "train" for line in read_metrics(file.parent))
        except TrainingError:  # somebody may want to see what became of it
            return True
    return True


def is_given(entry: Path) -> bool:
    """Tells whether something in a new run's folder is what the run is given, or hidden."""
    is_input = entry.name in (DATA_FOLDER, MODELS_FOLDER) and entry.is_dir()
    return is_input or entry.name.startswith(".")
