"""SHA-256 of files and of texts, in hexadecimal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


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
