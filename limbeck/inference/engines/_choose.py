"""Which engine runs a folder, by what the folder holds and what is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final, cast

from limbeck import listing
from limbeck.checkpoints import holds_weights
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError
from limbeck.inference.engines._engine import Engine
from limbeck.inference.engines._files import find_files

AUTO = "auto"
"""Stands for the engine that fits a folder."""
_TORCH = "torch"
# Which have no files of their own, and take seconds to import.
_OF_WEIGHTS: Final = (_TORCH, "torch_compiled")


def find_engine(name: str) -> type[Engine]:
    """Returns the engine of a name.

    Raises:
        SettingsError: If there is none; the message lists those there are.
    """
    return cast(type[Engine], listing.load(listing.ROOMS["engines"], name).EngineType)


def choose_engine(folder: Path) -> str:
    """Returns the name of the engine that runs a folder.

    That is `torch` where it holds weights, since those are the model itself; then what an export
    says, and in another library's folder an engine that is installed and finds a file of its own.

    Raises:
        CheckpointError: If what the folder was exported to is not run here.
        DataError: If its `export.json` is damaged.
    """
    if holds_weights(folder):
        return _TORCH
    if ExportInfo.exists(folder):
        info = ExportInfo.read(folder)
        if info.engine is None:
            raise CheckpointError(
                f"{folder} was exported to {info.target.replace('_', '-')}, which runs elsewhere "
                "only; accepted: the folder that it was exported from, or an export to another "
                "target, as limbeck list targets shows them"
            )
        return info.engine
    engines = listing.list_names(listing.ROOMS["engines"])
    others = [name for name in engines if name not in _OF_WEIGHTS]
    able = [name for name in others if find_files(folder, find_engine(name))]
    installed = [name for name in able if _is_installed(find_engine(name))]
    # Without any, torch says what it looked for.
    return next(iter([*installed, *able]), _TORCH)


def _is_installed(engine: type[Engine]) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in engine.packages)
