"""The model card's file: a model folder's README.md, and what a card passes on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from limbeck.errors import CheckpointError
from limbeck.files import read_text, write_text

CARD_NAME = "README.md"
_MARK = "<!-- Written by limbeck, which writes it anew as long as this line stands. -->"
_MOST_NAMES, _LONGEST_NAME = 200, 500  # languages; characters of a link to a licence
_LINK = re.compile(r"https?://[^\s<>\"]+|[\w.-]+")
_INHERITED = ("license", "license_name", "license_link", "language")


def write_readme(folder: Path, *, metadata: str, body: str) -> bool:
    """Writes `README.md` into a model folder, unless one is there that Limbeck did not write.

    Args:
        folder: The model folder.
        metadata: As YAML.
        body: As Markdown.

    Returns:
        Whether it was written.

    Raises:
        CheckpointError: If the file can't be read or written.
    """
    if has_foreign_card(folder):
        return False
    text = f"---\n{metadata}\n---\n\n{_MARK}\n\n{body}"
    write_text(folder / CARD_NAME, text, error=CheckpointError)
    return True


def extend_readme(folder: Path, section: str) -> None:
    """Adds a section to a `README.md` that Limbeck wrote; another one, or none, stays as it is.

    Args:
        folder: The model folder.
        section: As Markdown.

    Raises:
        CheckpointError: If the file can't be read or written.
    """
    path = folder / CARD_NAME
    if path.is_file() and not has_foreign_card(folder):
        write_text(path, f"{_read(path).rstrip()}\n\n{section}\n", error=CheckpointError)


def has_foreign_card(folder: Path) -> bool:
    """Tells whether a folder has a `README.md` that Limbeck did not write, or that was edited.

    Raises:
        CheckpointError: If the file can't be read.
    """
    path = folder / CARD_NAME
    return os.path.lexists(path) and _MARK not in _read(path)


def read_inherited(folder: Path) -> dict[str, Any]:
    """Returns what a model passes on to those made of it: licence and language, if its card says.

    A card that can't be understood says nothing.
    """
    data = _read_metadata(folder)
    kept = {name: data[name] for name in _INHERITED if _is_short(data.get(name))}
    if not _LINK.fullmatch(str(kept.get("license_link", "LICENSE"))):
        del kept["license_link"]  # pages show it as a link, and it might run a script
    return kept


def read_base_model(folder: Path) -> str | None:
    """Returns the Hub's model that a model's card says it was made of; None if it says none."""
    base = _read_metadata(folder).get("base_model")
    return base if isinstance(base, str) and _is_short(base) else None


def _read_metadata(folder: Path) -> dict[str, Any]:
    """Returns what stands at the top of a folder's card; of one that can't be read nothing."""
    path = folder / CARD_NAME
    if not path.is_file():
        return {}
    try:
        card = ModelCard(_read(path), ignore_metadata_errors=True)
        data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    return data


def _is_short(value: object) -> bool:
    """Tells whether a value is a name or some: YAML's may be anything, and of any size."""
    names = value if isinstance(value, list) else [value]
    if not 0 < len(names) <= _MOST_NAMES:
        return False
    return all(isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in names)


def _read(path: Path) -> str:
    return read_text(path, error=CheckpointError, undecodable="replace")
