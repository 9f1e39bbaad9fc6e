"""The files of a model that a run has made, as its record knows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from limbeck.checkpoints import CARD_NAME
from limbeck.errors import CheckpointError
from limbeck.files import sha256_of, sha256_of_files


def hash_model_files(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of a model folder's files by name, but for the card.

    That is anybody's to change.
    """
    return sha256_of_files(folder, but=(CARD_NAME,))


def require_model_files(folder: Path, expected: Mapping[str, str], *, remedy: str) -> None:
    """Refuses a model folder whose files are not those that a run's record knows.

    Args:
        folder: The model folder.
        expected: What `hash_model_files` gave; files that are not in it do not count.
        remedy: What helps.

    Raises:
        CheckpointError: Names the first file that is missing or was changed.
    """
    for name, checksum in expected.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing, which the run wrote; {remedy}")
        if sha256_of(path) != checksum:
            raise CheckpointError(f"{path} is not the file that the run wrote; {remedy}")
