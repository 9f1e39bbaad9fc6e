"""Reading a tokenizer's small files; errors name the file and where in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.errors import CheckpointError
from limbeck.files import read_json, read_text


def read_optional_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file, or an empty one where there is no such file.

    Raises:
        CheckpointError: If the file is there and can't be read, or is no JSON object.
    """
    if not path.is_file():
        return {}
    return read_json(path, error=CheckpointError, remedy="copy it again from where it came")


def read_vocab(path: Path) -> dict[str, int]:
    """Reads a `vocab.txt`: one piece a line, the line's number from 0 is its id.

    A piece that stands twice keeps its later id, as in `transformers`.

    Raises:
        CheckpointError: If the file is empty or not UTF-8.
    """
    lines = read_text(path, error=CheckpointError).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise CheckpointError(f"{path} is empty; it must hold one vocabulary piece a line.")
    return {line.rstrip(): index for index, line in enumerate(lines)}
