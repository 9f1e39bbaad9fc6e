"""JSON Lines: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError, shorten
from limbeck.files import parse_json
from limbeck.sources.opening import Line, decode_line, read_whole_lines
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".jsonl", ".ndjson")
SERVES: Final = ("corpora", "tasks")

_SHOWN = 30
"""Characters before and after the place of an error: enough to find it, short enough for a line."""


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the object of every line that is not blank; numbers are those of the lines.

    Raises:
        DataError: If the file can't be read, or a line is too long to be JSON.
    """
    for line in read_whole_lines(path, format_="JSON Lines"):
        if line.number > start and line.content.strip():
            yield parse_line(line, path)


def parse_line(line: Line, path: Path) -> Row:
    """Returns the row of a line."""
    place, values, problem = f"{path}, line {line.number}", {}, None
    try:
        # Files that were joined have a mark of the byte order in the middle.
        text = decode_line(line, path).removeprefix("\ufeff").rstrip()
        values = parse(text, path=path, first_line=line.number)
        if not isinstance(values, dict):
            raise DataError(
                f"{place}: expected one JSON object a line such as "
                f'{{"text": "...", "label": 1}}, got {shorten(text.strip())}'
            )
    except DataError as error:
        values, problem = {}, str(error)
    return Row(values, place, line.number, line.position, problem)


def parse(text: str, *, path: Path, first_line: int = 1) -> Any:
    """Returns the value of a JSON text.

    Raises:
        DataError: If it is not JSON, or more than Python can read; says where and what.
    """
    try:
        return parse_json(text)
    except ValueError as error:
        raise explain(error, text, path=path, first_line=first_line) from None


def explain(error: ValueError, text: str, *, path: Path, first_line: int = 1) -> DataError:
    """Returns what `json.loads` found wrong with a text, with file, line and column."""
    if isinstance(error, json.JSONDecodeError):
        there = text[max(error.pos - _SHOWN, 0) : error.pos + _SHOWN]
        return DataError(
            f"{path}, line {first_line + error.lineno - 1}, column {error.colno}: not valid JSON: "
            f"{error.msg} at {shorten(there)}; correct it"
        )
    # a number too long, brackets too deep
    return DataError(
        f"{path}, line {first_line}: JSON that Python can't read ({error}): {shorten(text)}"
    )
