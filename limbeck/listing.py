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


_HYPHENATED = tuple(ROOMS[kind] for kind in ("pipelines", "targets", "recipes"))
"""Rooms whose names are shown with hyphens, as users know them; both ways are taken everywhere."""


def spell_name(room: str, name: str) -> str:
    """Returns an entry's name as it is shown.

    Args:
        room: Dotted package name.
        name: That of its module.

    Example:
        >>> spell_name("limbeck.export", "onnx_int8"), spell_name("limbeck.losses", "hidden_mse")
        ('onnx-int8', 'hidden_mse')
    """
    return name.replace("_", "-") if room in _HYPHENATED else name


def list_names(room: str) -> list[str]:
    """Returns the names that a room offers, in alphabetical order, as its files have them.

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
        shown = [spell_name(room, known) for known in names]
        raise SettingsError(
            f"there is no '{name}' among the {kind}; accepted: {', '.join(shown)}."
            + did_you_mean(spell_name(room, wanted), shown)
        )
    return importlib.import_module(f"{room}.{wanted}")
