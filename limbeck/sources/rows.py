"""Rows from outside: what every format, Hub set and list in memory gives, and what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from limbeck.errors import DataError, did_you_mean, shorten, shorten_names


class Row(NamedTuple):
    """One row: its values by column, or what is wrong with it."""

    values: Mapping[str, Any]
    """The values by column; none where `problem` is given."""
    place: str
    """Where it stands, for messages: `train.csv, line 12`. Lines count from 1, rows of what has no
    lines (Parquet, Hub sets, lists) from 0, as Python finds them."""
    number: int
    """Reading with `start=number` goes on after this row."""
    position: int = 0
    """Bytes on disk that have been read, 0 where there is no file."""
    problem: str | None = None
    """Place and reason where the row is malformed, else None."""


@dataclass(frozen=True)
class Unreadable:
    """What stands where a value can't be read: it does no harm in a column that nobody needs."""

    reason: str

    def __repr__(self) -> str:
        return f"<{self.reason}>"


@dataclass(frozen=True)
class ReadOptions:
    """What a reader wants; a format takes no notice of what it has no use for."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """The only columns that are needed, each with the setting that names it; none for all."""
    documents: Literal["block", "line", "file"] = "block"
    """What one row of plain text is: a block between blank lines, a line, the file."""
    max_characters: int = 16_000_000
    """A longer row of plain text comes in several, so that memory stays bounded."""


EVERYTHING = ReadOptions()
"""All columns of every row."""


class RowSource(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str:
        """What messages call it: a path, `hf://owner/name`, the name of a split."""

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """For columns of classes, as data sets declare them: the names by number."""

    def rows(self, options: ReadOptions = EVERYTHING, *, start: int = 0) -> Iterator[Row]:
        """Yields the rows after number `start`; a malformed one with its `problem`.

        Raises:
            DataError: If the source can't be opened, is damaged, or lacks a column.
        """


def require_columns(name: str, given: Collection[str], options: ReadOptions) -> None:
    """Refuses a source without a column that is needed.

    Raises:
        DataError: Names the columns that it has, and the setting.
    """
    for column, setting in options.columns.items():
        if column not in given:
            raise DataError(
                f"{name} has no column '{column}'; it has {shorten_names(map(repr, given))} "
                f"(set {setting}).{did_you_mean(column, given)}"
            )


def require_distinct(name: str, given: Sequence[str]) -> None:
    """Refuses a source in which a column's name stands twice; columns without one may be many.

    Raises:
        DataError: Names it.
    """
    twice = [column for column, count in Counter(given).items() if column and count > 1]
    if twice:
        raise DataError(
            f"{name}: a column's name stands twice: {shorten_names(map(repr, twice))}; rename one "
            "of the two, or leave it out"
        )


def require_whole_characters(text: str, where: str) -> None:
    """Refuses half a character: JSON can hold one, as what was cut from an emoji, UTF-8 can't.

    Raises:
        DataError: Says what stands there.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        there = text[max(error.start - 20, 0) : error.end + 20]
        raise DataError(
            f"{where} has half a character, {text[error.start]!a}, in {shorten(there)}; remove "
            "it, such as with text.encode('utf-8', 'ignore').decode(), or cut the text elsewhere"
        ) from None
