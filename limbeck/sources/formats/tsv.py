"""TSV: fields with tabs between them, a header first; quotation marks are text, as in GLUE's."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from limbeck.sources.formats._table import read_table
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".tsv",)
SERVES: Final = ("corpora", "tasks")

_DIALECT: Final = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
_FIX = "no field holds a tab or a line break; give JSON Lines where one must"


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the rows of a table.

    Raises:
        DataError: If the file can't be read, or its header is malformed or lacks a column.
    """
    return read_table(path, options, start=start, dialect=_DIALECT, fix=_FIX)
