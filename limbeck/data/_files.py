"""Writing files so that a stop at any moment leaves the old or the new content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError

PARTIAL_SUFFIX: Final = ".partial"
"""Ends the names of files under way; a kill leaves one behind."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside its place, flushes it to the disk and moves it there."""
    temporary = path.with_name(path.name + PARTIAL_SUFFIX)
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, keys in the given order, so that equal values give equal bytes."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())


@contextmanager
def explain_failed_writes(out: Path) -> Iterator[None]:
    """Turns the system's errors in the block, such as a full disk, into one that names the folder.

    Raises:
        DataError: If a file or the folder can't be written.
    """
    try:
        yield
    except BrokenPipeError:  # of the terminal that showed the progress
        raise
    except OSError as error:  # readers explain their own
        raise DataError(
            f"can't write the corpus to {out}: {error.strerror or error}. When that is mended, the "
            "same build continues where it stopped"
        ) from error


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file in hexadecimal, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
