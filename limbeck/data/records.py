"""Records: the texts of a source one at a time, whatever its size.

A record's number within its source is all that is needed to continue there:
`read_records(source, settings, start=number)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from limbeck.data.settings import CorpusSettings
from limbeck.errors import did_you_mean, shorten, shorten_names
from limbeck.sources import ReadOptions, Row, RowSource


class Record(NamedTuple):
    """One record of a source: its text, or what is wrong with it."""

    number: int
    """Number of the record in its source: that of its row or line, from 1."""
    text: str
    """The text, surrounding white space included; empty where `problem` is given."""
    num_bytes_read: int
    """How much of the source's file has been read, in bytes on disk (0 for a Hub data set)."""
    problem: str | None
    """File, line and reason where the record is malformed, else None."""


def read_records(
    source: RowSource, settings: CorpusSettings, *, start: int = 0
) -> Iterator[Record]:
    """Yields a source's records after number `start`.

    Raises:
        DataError: If the source can't be opened, is damaged, or lacks the text column. A single
            malformed record is yielded with its `problem`, not raised.
    """
    options = ReadOptions(
        columns={settings.text_field: "text_field"},
        documents=settings.documents,
        max_characters=settings.max_document_characters,
    )
    for row in source.rows(options, start=start):
        problem = row.problem or _find_problem(row, settings.text_field)
        text = "" if problem else row.values[settings.text_field]
        yield Record(row.number, text, row.position, problem)


def _find_problem(row: Row, field: str) -> str | None:
    """Returns what keeps a row's field from being a text, None if it is one."""
    if field not in row.values:
        names = list(row.values)
        return (
            f"{row.place}: no field '{field}'; it has {shorten_names(map(repr, names))} "
            f"(set text_field).{did_you_mean(field, names)}"
        )
    text = row.values[field]
    if not isinstance(text, str):
        kind = type(text).__name__
        return f"{row.place}: field '{field}' is {kind}, not a string: {shorten(str(text))}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"{row.place}: field '{field}' holds half a surrogate pair at character {error.start}"
        )
    return None
