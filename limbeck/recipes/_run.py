"""The record of a run: what was asked, with what, on what (`run.json`), and what came of it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.files import read_json, write_json
from limbeck.version import __version__

RUN_FILE = "run.json"
RESULT_FILE = "result.json"

_LIBRARIES = (
    "torch",
    "tokenizers",
    "safetensors",
    "numpy",
    "datasets",
    "huggingface_hub",
    "pydantic",
    "scikit-learn",
)
_WITHOUT_EFFECT = ("log_every", "save_every", "tensorboard")
"""Settings, of whichever recipe has them, that decide what is written down and no weight."""
_ABSENT = object()


@dataclass(frozen=True)
class Run:
    """A run's folder, just opened.

    Attributes:
        folder: The folder.
        record: What `run.json` holds.
        resumed: Whether the folder already held this run.
        result: What `result.json` holds, if the run had been finished before.
    """

    folder: Path
    record: Mapping[str, Any]
    resumed: bool
    result: Mapping[str, Any] | None


def start_run(
    folder: Path,
    recipe: str,
    settings: Settings,
    *,
    command: str | None = None,
    may_change: Collection[str] = (),
) -> Run:
    """Opens the folder of a run: a new one gets its record, one with the same settings goes on.

    Args:
        folder: The run's folder; made if it does not exist.
        recipe: Name of the recipe.
        settings: The resolved settings.
        command: What started the run; the program's command line if not given.
        may_change: Settings (dotted names, or those of whole tables) that may differ from those of
            the run being resumed, such as a time budget; how often it logs and saves always may.

    Raises:
        SettingsError: If the folder holds another run, or files that are no run.
    """
    values: dict[str, Any] = settings.model_dump(mode="json")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path = folder / RUN_FILE
    if path.exists():
        record = read_json(path, error=SettingsError)
        before = recorded_settings(record, type(settings))
        _check_same_run(folder, record, before, recipe=recipe, values=values, may_change=may_change)
        record = {**record, "settings": values, "resumed_at": [*record.get("resumed_at", []), now]}
        write_json(path, record, error=SettingsError)
        result = folder / RESULT_FILE
        finished = read_json(result, error=SettingsError) if result.exists() else None
        return Run(folder, record, resumed=True, result=finished)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file, not a folder for a run; give another out=...")
    if folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise SettingsError(
            f"{folder} is not empty and holds no run; give a new folder, or remove what is in it"
        )
    record = {
        "recipe": recipe,
        "settings": values,
        "limbeck_version": __version__,
        "versions": _versions(),
        "seed": values.get("seed"),
        "hardware": describe_hardware(),
        "git": describe_git(Path.cwd()),
        "command": shlex.join(sys.argv) if command is None else command,
        "started_at": now,
    }
    write_json(path, record, error=SettingsError)
    return Run(folder, record, resumed=False, result=None)


def recorded_settings(record: Mapping[str, Any], settings_type: type[Settings]) -> dict[str, Any]:
    """Returns the settings of a run's record, those that came up later at their defaults."""
    defaults = settings_type.model_construct().model_dump(mode="json", warnings=False)
    return {**defaults, **record.get("settings", {})}


def finish_run(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the result of a run, whose presence says that the run is complete, and returns it."""
    write_json(folder / RESULT_FILE, result, error=SettingsError)
    return dict(result)


def describe_hardware() -> dict[str, Any]:
    """Returns the machine's processor, cores, memory and accelerators, and torch's threads."""
    import torch

    try:
        cores_usable = len(os.sched_getaffinity(0))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        cores_usable, memory = os.cpu_count() or 1, None
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "num_cores": os.cpu_count(),
        "num_usable_cores": cores_usable,
        "memory_bytes": memory,
        "gpus": gpus,
        "num_threads": torch.get_num_threads(),
        "system": platform.platform(),
    }


def describe_git(folder: Path) -> dict[str, Any] | None:
    """Returns commit, branch and whether files differ from it; None outside a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    return {
        "commit": commit,
        "branch": ask("rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(ask("status", "--porcelain")),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _check_same_run(
    folder: Path,
    record: Mapping[str, Any],
    settings_before: Mapping[str, Any],
    *,
    recipe: str,
    values: Mapping[str, Any],
    may_change: Collection[str],
) -> None:
    remedy = f"give another out=..., or remove {folder} to start over"
    if record.get("recipe") != recipe:
        raise SettingsError(
            f"{folder} already holds a '{record.get('recipe')}' run, not a '{recipe}' run; {remedy}"
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
