"""The folder of a run: opened anew, gone on with, or refused for another run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.files import own_folder, remove_if_bare
from limbeck.runs.begun import forget_if_nothing_was_made, is_given
from limbeck.runs.machine import describe_git, describe_hardware, describe_versions
from limbeck.runs.result import ResultRecord
from limbeck.runs.run import RunRecord
from limbeck.runs.sameness import dump_settings, find_changes, require_same_run
from limbeck.version import __version__

ResultT = TypeVar("ResultT", bound=ResultRecord)


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, just opened.

    Attributes:
        path: The folder.
        record: What `run.json` holds.
        resumed: Whether the folder already held this run.
        moved_from: Where it was when the run was last started.
    """

    path: Path
    record: RunRecord
    resumed: bool
    moved_from: Path | None = None

    def finished(self, kind: type[ResultT]) -> ResultT | None:
        """Returns the result if the run had been finished before.

        Raises:
            DataError: If `result.json` can't be used.
        """
        if not kind.exists(self.path):
            return None
        result = kind.read(self.path)
        if self.moved_from is None:
            return result
        return result.moved(self.moved_from, self.path).write(self.path)


@contextmanager
def start_run(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    inputs: Mapping[str, str] = MappingProxyType({}),
    command: str | None = None,
    may_change: Collection[str] = (),
) -> Iterator[RunFolder]:
    """Opens the folder of a run, which is its own until the block ends.

    A new folder gets a record; one that holds a run with the same settings goes on. A run that was
    killed before it had made anything binds nobody, and its temporary files are cleared. A new one
    that fails before it has made anything leaves nothing behind.

    Args:
        folder: The run's folder; made if it does not exist.
        recipe: Name of the recipe.
        settings: The resolved settings.
        inputs: Checksums of what models, corpora and data hold that settings name, by setting. The
            same content may lie elsewhere when the run goes on; another under the same name is
            refused.
        command: What started the run; the program's command line if not given.
        may_change: Settings (dotted names, or those of whole tables) that may differ from those of
            the run being resumed, such as a time budget; the folder and how often the run logs and
            saves always may.

    Raises:
        DataError: If an input has changed, the folder's `run.json` can't be used, or the folder
            can't be written.
        FolderInUseError: If another process runs there.
        SettingsError: If the folder holds another run, or files that are no run.
    """
    _require_room(folder)  # before anything is written, a lock included
    with own_folder(folder, work=f"limbeck {recipe}"):
        _require_room(folder)
        is_new = not RunRecord.exists(folder)
        try:
            yield _open(
                folder, recipe, settings, inputs=inputs, command=command, may_change=may_change
            )
        except Exception:  # not a stop that was asked for, which leaves a checkpoint
            if is_new and folder.is_dir():
                forget_if_nothing_was_made([e for e in folder.iterdir() if not is_given(e)])
                remove_if_bare(folder)
            raise


def describe_start(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    inputs: Mapping[str, str] = MappingProxyType({}),
    may_change: Collection[str] = (),
) -> str:
    """Says, for a dry run, whether a run would begin in a folder or go on; writes nothing.

    Takes what `start_run` takes, and raises what it raises of the folder and what it holds.
    """
    _require_room(folder)
    begun = _find_begun(folder, recipe, settings, inputs=inputs, may_change=may_change)
    if begun is None:
        return "a new run"
    return f"goes on with the run that was begun there at {begun.started_at}"


def _require_room(folder: Path) -> None:
    """Refuses a place that holds something else than a run, or what one is given."""
    if not folder.exists() or RunRecord.exists(folder):
        return
    if not folder.is_dir():
        raise SettingsError(f"{folder} is a file, not a folder for a run; give another out=...")
    if any(not is_given(entry) for entry in folder.iterdir()):
        raise SettingsError(
            f"{folder} is not empty and holds no run; give a new folder, or remove what is in it"
        )


def _open(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    inputs: Mapping[str, str],
    command: str | None,
    may_change: Collection[str],
) -> RunFolder:
    values = dump_settings(settings)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    begun = _find_begun(folder, recipe, settings, inputs=inputs, may_change=may_change)
    if begun is not None:
        before = begun.settings.get("out")
        update = {
            "settings": values,
            "inputs": {**begun.inputs, **inputs},
            "resumed_at": (*begun.resumed_at, now),
        }
        record = begun.model_copy(update=update).write(folder)
        moved_from = None if before in (None, str(folder)) else Path(before)
        return RunFolder(folder, record, resumed=True, moved_from=moved_from)
    record = RunRecord(
        recipe=recipe,
        settings=values,
        inputs=dict(inputs),
        limbeck_version=__version__,
        versions=describe_versions(),
        seed=values.get("seed"),
        hardware=describe_hardware(),
        git=describe_git(),
        command=shlex.join(sys.argv) if command is None else command,
        started_at=now,
    )
    return RunFolder(folder, record.write(folder), resumed=False)


def _find_begun(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    inputs: Mapping[str, str],
    may_change: Collection[str],
) -> RunRecord | None:
    """Returns the record of the run that would go on; None where a new one would begin."""
    if not RunRecord.exists(folder):
        return None
    record = RunRecord.read(folder)
    changes = find_changes(record, recipe, settings, inputs=inputs, may_change=may_change)
    if changes and _is_empty(folder):
        return None
    require_same_run(folder, record, changes)
    return record


def _is_empty(folder: Path) -> bool:
    """Tells whether nothing has come of a run yet, so that it holds nobody to anything."""
    return all(e.name == RunRecord.FILE_NAME or is_given(e) for e in folder.iterdir())
