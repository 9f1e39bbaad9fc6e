"""Reads rows from outside: files of every format, Hub data sets, and what is in memory.

Every source yields rows with where they come from, for messages, and may go on after any row. A
file format is one module in `formats/`.
"""

from __future__ import annotations

from limbeck.sources.files import FileSource, expand_glob, known_format, open_file
from limbeck.sources.hub import DatasetSource, HubAddress, HubSource
from limbeck.sources.memory import MemorySource, open_rows
from limbeck.sources.rows import EVERYTHING, ReadOptions, Row, RowSource, require_whole_characters
from limbeck.sources.splits import Data, SplitRows, name_split, read_parts, read_splits

__all__ = [
    "EVERYTHING",
    "Data",
    "DatasetSource",
    "FileSource",
    "HubAddress",
    "HubSource",
    "MemorySource",
    "ReadOptions",
    "Row",
    "RowSource",
    "SplitRows",
    "expand_glob",
    "known_format",
    "name_split",
    "open_file",
    "open_rows",
    "read_parts",
    "read_splits",
    "require_whole_characters",
]
