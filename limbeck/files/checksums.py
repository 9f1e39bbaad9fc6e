"""Checksums of files, folders, texts and rows, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_texts(texts: Iterable[str]) -> str:
    """Returns the SHA-256 over texts, one after the other, in UTF-8.

    Example:
        >>> sha256_of_texts(["ab", "c"]) == sha256_of_texts(["abc"])
        True
    """
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8"))
    return digest.hexdigest()


def sha256_of_files(folder: Path, *, but: Collection[str] = ()) -> dict[str, str]:
    """Returns the SHA-256 of each file in a folder, by its path there; hidden ones are left out.

    Args:
        folder: The folder.
        but: Names of files that are left out too.
    """
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    names = (path.as_posix() for path in paths if not path.name.startswith("."))
    return {name: sha256_of(folder / name) for name in names if name not in but}


def crc32_of(row: Mapping[str, Any]) -> str:
    """Returns the CRC-32 of a row of JSON values: enough to find damage in a line of a log.

    Example:
        >>> crc32_of({"step": 1, "loss": 0.5})
        '878c5e53'
    """
    return f"{zlib.crc32(json.dumps(row).encode()):08x}"
