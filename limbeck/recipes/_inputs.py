"""Checksums of the models that a run is given: what they hold, not where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from limbeck.checkpoints import hash_model, resolve_folder
from limbeck.errors import CheckpointError


def hash_models(named: Mapping[str, str]) -> dict[str, str]:
    """Returns the checksum of each model, by the setting that names it.

    Args:
        named: Model folders and Hub ids, by setting.

    Raises:
        CheckpointError: If one is no model, or can't be read.
    """
    return {setting: hash_model(_find(model)) for setting, model in named.items()}


def hash_present_models(named: Mapping[str, str]) -> dict[str, str]:
    """Does what `hash_models` does for those that are there: a finished run does without them."""
    found: dict[str, str] = {}
    for setting, model in named.items():
        with suppress(CheckpointError):
            found |= hash_models({setting: model})
    return found


def _find(model: str) -> Path:
    # A run's folder stands for the model in it, and may get one while this process lasts.
    return resolve_folder(model) if Path(model).expanduser().is_dir() else _fetch(model)


@lru_cache
def _fetch(name: str) -> Path:
    """Looks a model up on the Hub, once in a process."""
    return resolve_folder(name)
