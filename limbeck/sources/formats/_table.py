"""Tables of text with a header: what CSV and TSV have in common."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck import limits
from limbeck.errors import DataError, shorten_names
from limbeck.sources.opening import decode_line, read_whole_lines, split_returns
from limbeck.sources.rows import ReadOptions, Row, require_columns, require_distinct


def read_table(
    path: Path, options: ReadOptions, *, start: int, dialect: Mapping[str, Any], fix: str
) -> Iterator[Row]:
    """Yields the rows of a table; numbers are those of the lines at which they end.

    Args:
        path: The file.
        options: Which columns are needed.
        start: Line after which to begin.
        dialect: How the `csv` module reads it.
        fix: What helps where a row is malformed.

    Raises:
        DataError: If the file can't be read, or its header is malformed or lacks a column.
    """
    # A document may stand in one field, over many lines; the library's limit is for the process.
    csv.field_size_limit(limits.LINE_BYTES.value)
    lines = _Lines(path)
    reader = csv.reader(lines, **dialect)
    header = _read_header(reader, lines, options, fix=fix)
    while True:
        fields, problem = [], None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"{path}, line {reader.line_num}: {error}; {fix}"
        place = f"{path}, line {reader.line_num}"
        problem, lines.problem = lines.problem or problem, None
        is_blank = not fields or (len(fields) == 1 < len(header) and not fields[0].strip())
        if problem is None and is_blank:
            continue
        if problem is None and len(fields) != len(header):
            problem = (
                f"{place}: {len(fields)} fields, but the header has {len(header)} "
                f"({shorten_names(header)}); {fix}"
            )
        if reader.line_num > start:
            values = {} if problem else dict(zip(header, fields, strict=True))
            yield Row(values, place, reader.line_num, lines.position, problem)


def _read_header(reader: Any, lines: _Lines, options: ReadOptions, *, fix: str) -> list[str]:
    path = lines.path
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; {fix}") from None
    if lines.problem:
        raise DataError(lines.problem)
    require_distinct(f"{path}, line 1", header)  # spreadsheets leave empty columns behind
    if header:
        require_columns(str(path), header, options)
    return header


class _Lines:
    """The lines of a file as text, which remembers how far it is and what was not UTF-8."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.problem: str | None = None
        self._lines = self._read()

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def _read(self) -> Iterator[str]:
        for line in read_whole_lines(self.path, format_="a table"):
            self.position = line.position
            try:
                text = decode_line(line, self.path)
            except DataError as error:
                self.problem = self.problem or str(error)
                text = line.content.decode(errors="replace")
            yield from split_returns(text)
