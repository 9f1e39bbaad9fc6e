"""Checksums of what a run is given: what it holds, not where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from limbeck.checkpoints import hash_model, resolve_folder
from limbeck.errors import CheckpointError
from limbeck.files import sha256_of


class Fingerprinted(Protocol):
    """Data or a corpus, which know the checksum of what they hold."""

    @property
    def fingerprint(self) -> str:
        """The checksum."""


def hash_inputs(models: Mapping[str, str], **others: Fingerprinted) -> dict[str, str]:
    """Returns the checksum of each input of a run, by the setting that names it.

    Args:
        models: Model folders and Hub ids, by setting.
        others: What else the run is given, by setting.

    Raises:
        CheckpointError: If a model is none, or can't be read.
    """
    found = {setting: other.fingerprint for setting, other in others.items()}
    return {**hash_models(models), **found}


def hash_models(named: Mapping[str, str]) -> dict[str, str]:
    """Returns the checksum of each model, by the setting that names it.

    What a server says has none: it is known by its address, which is a setting.

    Args:
        named: Model folders, Hub ids, files of predictions and addresses of servers, by setting.

    Raises:
        CheckpointError: If one is no model, or can't be read.
    """
    return {
        setting: sha256_of(Path(model)) if Path(model).is_file() else hash_model(_find(model))
        for setting, model in named.items()
        if "://" not in model
    }


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
