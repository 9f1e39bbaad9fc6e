"""The model card's file: a model folder's README.md, and what a card passes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from limbeck.errors import CheckpointError
from limbeck.files import write_text

CARD_NAME = "README.md"
_MARK = "<!-- Written by limbeck, which writes it anew as long as this line stands. -->"
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


def has_foreign_card(folder: Path) -> bool:
    """Tells whether a folder has a `README.md` that Limbeck did not write, or that was edited.

    Raises:
        CheckpointError: If the file can't be read.
    """
    path = folder / CARD_NAME
    return path.exists() and _MARK not in _read(path)


def read_inherited(folder: Path) -> dict[str, Any]:
    """Returns what a model passes on to those made of it: licence and language, if its card says.

    A card that can't be understood says nothing.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        return {}
    try:
        card = ModelCard(_read(path), ignore_metadata_errors=True)
        data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, yaml.YAMLError):
        return {}
    return {name: data[name] for name in _INHERITED if data.get(name)}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror or error}.") from error
