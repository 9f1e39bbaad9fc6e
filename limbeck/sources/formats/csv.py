"""CSV: fields with commas between them, a header first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from limbeck.sources.formats._table import read_table
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".csv",)
SERVES: Final = ("corpora", "tasks")

_FIX = "quote what holds commas, quotation marks or line breaks, or give JSON Lines"


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the rows of a table.

    Raises:
        DataError: If the file can't be read, or its header is malformed or lacks a column.
    """
    return read_table(path, options, start=start, dialect={"strict": True}, fix=_FIX)
