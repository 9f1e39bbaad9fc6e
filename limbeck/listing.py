"""The folder is the registry: what a room offers is the list of its public modules."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from limbeck.errors import SettingsError, did_you_mean

ROOMS = {
    "losses": "limbeck.losses",
    "models": "limbeck.models",
    "tasks": "limbeck.tasks",
    "metrics": "limbeck.metrics",
    "methods": "limbeck.methods",
    "sparsity": "limbeck.sparsity",
    "engines": "limbeck.inference.engines",
    "pipelines": "limbeck.inference.pipelines",
    "targets": "limbeck.export",
    "recipes": "limbeck.recipes",
}
"""The rooms that `limbeck list` shows, by what their files are called."""


def list_names(room: str) -> list[str]:
    """Returns the names that a room offers, in alphabetical order, as users write them.

    Args:
        room: Dotted package name, such as `limbeck.losses`. Modules whose name starts with an
            underscore are private to the room and not listed.
    """
    package = importlib.import_module(room)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")


def load(room: str, name: str) -> ModuleType:
    """Imports one entry of a room by the name users write (`text-classification` works too).

    Raises:
        SettingsError: If the room has no such entry; the message lists what it has.
    """
    names = list_names(room)
    wanted = name.replace("-", "_")
    if wanted not in names:
        kind = next((k for k, package in ROOMS.items() if package == room), room.split(".")[-1])
        raise SettingsError(
            f"there is no '{name}' among the {kind}; accepted: {', '.join(names)}."
            + did_you_mean(wanted, names)
        )
    return importlib.import_module(f"{room}.{wanted}")
