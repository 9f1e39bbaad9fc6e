"""The folder of a run: opened anew, gone on with, or refused for another run."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.files import own_folder, remove_if_bare
from limbeck.runs.begun import forget_if_nothing_was_made
from limbeck.runs.machine import describe_git, describe_hardware, describe_versions
from limbeck.runs.result import ResultRecord
from limbeck.runs.run import RunRecord
from limbeck.version import __version__

_WITHOUT_EFFECT = ("log_every", "save_every", "tensorboard")
"""Settings, of whichever recipe has them, that decide what is written down and no weight."""
_ABSENT = object()

DATA_FOLDER = "data"
"""Where a run folder holds rows that were in memory, one file a split."""
MODELS_FOLDER = "given"
"""Where it holds models that were in memory, a folder each."""

ResultT = TypeVar("ResultT", bound=ResultRecord)


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, just opened.

    Attributes:
        path: The folder.
        record: What `run.json` holds.
        resumed: Whether the folder already held this run.
    """

    path: Path
    record: RunRecord
    resumed: bool

    def finished(self, kind: type[ResultT]) -> ResultT | None:
        """Returns the result if the run had been finished before.

        Raises:
            DataError: If `result.json` can't be used.
        """
        return kind.read(self.path) if kind.exists(self.path) else None


@contextmanager
def start_run(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    command: str | None = None,
    may_change: Collection[str] = (),
) -> Iterator[RunFolder]:
    """Opens the folder of a run, which is its own until the block ends.

    A new folder gets a record; one that holds a run with the same settings goes on. Temporary files
    of a run that was killed are cleared. A new run that fails before it has made anything leaves
    nothing behind: the next one, with other settings, would be refused.

    Args:
        folder: The run's folder; made if it does not exist.
        recipe: Name of the recipe.
        settings: The resolved settings.
        command: What started the run; the program's command line if not given.
        may_change: Settings (dotted names, or those of whole tables) that may differ from those of
            the run being resumed, such as a time budget; how often it logs and saves always may.

    Raises:
        DataError: If the folder's `run.json` can't be used, or the folder can't be written.
        FolderInUseError: If another process runs there.
        SettingsError: If the folder holds another run, or files that are no run.
    """
    _require_room(folder)  # before anything is written, a lock included
    with own_folder(folder, work=f"limbeck {recipe}"):
        _require_room(folder)
        is_new = not RunRecord.exists(folder)
        try:
            yield _open(folder, recipe, settings, command=command, may_change=may_change)
        except Exception:  # not a stop that was asked for, which leaves a checkpoint
            if is_new and folder.is_dir():
                forget_if_nothing_was_made([e for e in folder.iterdir() if not _is_given(e)])
                remove_if_bare(folder)
            raise


def _require_room(folder: Path) -> None:
    """Refuses a place that holds something else than a run, or what one is given."""
    if not folder.exists() or RunRecord.exists(folder):
        return
    if not folder.is_dir():
        raise SettingsError(f"{folder} is a file, not a folder for a run; give another out=...")
    if any(not _is_given(entry) for entry in folder.iterdir()):
        raise SettingsError(
            f"{folder} is not empty and holds no run; give a new folder, or remove what is in it"
        )


def _open(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    command: str | None,
    may_change: Collection[str],
) -> RunFolder:
    values = _spell_infinity(settings.model_dump(mode="json"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if RunRecord.exists(folder):
        record = RunRecord.read(folder)
        before = record.settings_of(type(settings))
        _check_same_run(folder, record, before, recipe=recipe, values=values, may_change=may_change)
        changes = {"settings": values, "resumed_at": (*record.resumed_at, now)}
        record = record.model_copy(update=changes).write(folder)
        return RunFolder(folder, record, resumed=True)
    record = RunRecord(
        recipe=recipe,
        settings=values,
        limbeck_version=__version__,
        versions=describe_versions(),
        seed=values.get("seed"),
        hardware=describe_hardware(),
        git=describe_git(),
        command=shlex.join(sys.argv) if command is None else command,
        started_at=now,
    )
    return RunFolder(folder, record.write(folder), resumed=False)


def _spell_infinity(value: Any) -> Any:
    """Replaces numbers that JSON has no word for by the words that settings read: "inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _spell_infinity(inner) for name, inner in value.items()}
    return [_spell_infinity(inner) for inner in value] if isinstance(value, list) else value


def _is_given(entry: Path) -> bool:
    """Tells whether something in a new run's folder is what the run is given, or hidden."""
    is_input = entry.name in (DATA_FOLDER, MODELS_FOLDER) and entry.is_dir()
    return is_input or entry.name.startswith(".")


def _check_same_run(
    folder: Path,
    record: RunRecord,
    settings_before: Mapping[str, Any],
    *,
    recipe: str,
    values: Mapping[str, Any],
    may_change: Collection[str],
) -> None:
    remedy = f"give another out=..., or remove {folder} to start over"
    if record.recipe != recipe:
        raise SettingsError(
            f"{folder} already holds a '{record.recipe}' run, not a '{recipe}' run; {remedy}"
        )
    may_change = {*may_change, *_WITHOUT_EFFECT}
    before = dict(_flatten(settings_before))
    now = dict(_flatten(values))
    differing = [
        f"{name} was {_show(before.get(name, _ABSENT))}, now {_show(now.get(name, _ABSENT))}"
        for name in {**before, **now}
        if before.get(name, _ABSENT) != now.get(name, _ABSENT)
        and not any(name == free or name.startswith(f"{free}.") for free in may_change)
    ]
    if differing:
        raise SettingsError(
            f"{folder} already holds a '{recipe}' run with other settings: "
            f"{'; '.join(differing)}. To go on with it give the same settings; otherwise {remedy}."
        )


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _show(value: object) -> str:
    return "not set" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
