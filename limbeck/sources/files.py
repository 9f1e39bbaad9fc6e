"""Files: which format one has, and its rows."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from limbeck import listing
from limbeck.errors import DataError
from limbeck.sources.classes import read_class_names
from limbeck.sources.opening import COMPRESSIONS, strip_compression
from limbeck.sources.rows import EVERYTHING, ReadOptions, Row

_FORMATS = "limbeck.sources.formats"

Reader = Literal["corpora", "tasks"]
"""Who reads: the same ending may mean another format to each, as `.txt` does."""


@dataclass(frozen=True)
class FileSource:
    """The rows of a file."""

    path: Path
    format: str
    """Name of a module among the formats."""
    num_bytes: int
    """Size on disk."""

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """What the file declares, where its format can, or else a data set's card beside it."""
        module = listing.load(_FORMATS, self.format)
        of_file: dict[str, tuple[str, ...]] = (
            module.read_class_names(self.path) if hasattr(module, "read_class_names") else {}
        )
        return of_file or read_class_names(self.path.parent)

    def rows(self, options: ReadOptions = EVERYTHING, *, start: int = 0) -> Iterator[Row]:
        """Yields the rows after number `start`; a malformed one with its `problem`.

        Raises:
            DataError: If the file can't be read, is damaged, or lacks a column.
        """
        read = listing.load(_FORMATS, self.format).read
        rows: Iterator[Row] = read(self.path, options, start=start)
        return rows


def open_file(path: Path, *, reader: Reader, format_: str | None = None) -> FileSource:
    """Returns a file as a source.

    Args:
        path: The file.
        reader: Who reads it.
        format_: Its format; by default the one that the end of its name tells.

    Raises:
        DataError: If its name does not tell its format.
    """
    format_ = format_ or known_format(path, reader=reader)
    if format_ is None:
        raise DataError(f"{path}: can't tell its format from its name; {describe_endings(reader)}")
    return FileSource(path, format_, path.stat().st_size)


@cache
def formats_by_ending(reader: Reader) -> Mapping[str, str]:
    """Returns the format of each ending, that of a compression taken off."""
    modules = {name: listing.load(_FORMATS, name) for name in listing.list_names(_FORMATS)}
    return MappingProxyType(
        {
            ending: name
            for name, module in modules.items()
            if reader in module.SERVES
            for ending in module.ENDINGS
        }
    )


def known_format(path: Path, *, reader: Reader) -> str | None:
    """Returns the format that the end of a file's name tells, None if it tells none."""
    ending = Path(strip_compression(path.name)).suffix.lower()
    return formats_by_ending(reader).get(ending)


def describe_endings(reader: Reader) -> str:
    """Returns the accepted endings, and for corpora the other way to tell, for messages."""
    known = formats_by_ending(reader)
    other = f". Or set format={'|'.join(sorted(set(known.values())))}"
    return f"accepted endings: {', '.join(known)}, each also with {', '.join(COMPRESSIONS)}" + (
        other if reader == "corpora" else ""
    )


def expand_glob(pattern: str) -> list[Path]:
    """Returns the files that match a pattern, `**` going into folders, in alphabetical order."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns
    return [path for path in map(Path, found) if path.is_file()]
