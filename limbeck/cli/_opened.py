"""Where `predict` and `embed` read: arguments, a file, or standard input, by one rule."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from limbeck.cli._given import BadRows, Columns, Given, Names, take_row, take_text
from limbeck.errors import DataError, shorten_names
from limbeck.sources import open_file
from limbeck.sources.formats import text as lines_of_text
from limbeck.sources.formats.jsonl import parse_line
from limbeck.sources.opening import Line, decode_line, read_whole_lines, strip_compression

_STDIN: Final = Path("standard input")  # what messages call it
_JSON: Final = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Opened:
    """What is to be read, looked at as far as it takes to know its columns.

    Attributes:
        columns: Which columns are read; None where each item is a text.
        data: The file; None for arguments and standard input.
        items: Gives rows, lines or texts.
        take: Returns what one of them gives.
        reads_once: Whether they are gone when they were read.
    """

    columns: Columns | None
    data: Path | None
    items: Callable[[], Iterable[Any]]
    take: Callable[[Any], Given]
    reads_once: bool = False

    def rows(self, bad: BadRows) -> Iterator[Given]:
        """Yields what is read.

        Raises:
            DataError: With its place, for what is wrong with a row; if a file has none.
        """
        found = False
        for item in self.items():
            try:
                given = self.take(item)
            except DataError as error:
                bad.take(error)
            else:
                found = True
                yield given
        if not found and self.data is not None:
            reason = "none that can be used" if bad.count else "it is empty"
            raise DataError(f"--data {self.data} has no rows: {reason}")

    def count_rows(self) -> int | None:
        """Returns how many rows there are to use; None if nobody knows before they are read.

        A file is read for it, without a word on what is wrong with it: who reads it in earnest
        tells.
        """
        if self.reads_once:
            return None
        try:
            return sum(1 for _ in self.rows(BadRows(skip=True, tells=False)))
        except DataError:
            return None

    def rows_ahead(self) -> Iterator[Given]:
        """Yields the good rows of a file in which they need not be alike, before they are needed.

        Those of other files are: the first one says what columns there are.
        """
        if self.data is not None and strip_compression(self.data.name).lower().endswith(_JSON):
            yield from self.rows(BadRows(skip=True, tells=False))


def open_given(texts: Sequence[str], *, data: Path | None, names: Names) -> Opened:
    """Opens the texts that are given, a file, or standard input.

    Args:
        texts: Those given, none for a file or standard input.
        data: The file, if any.
        names: What columns may be called.

    Raises:
        DataError: If the file can't be read, or standard input is closed.
    """
    if texts:
        numbered = list(enumerate(texts, start=1))
        return Opened(None, None, lambda: numbered, lambda t: take_text(t[1], place=f"text {t[0]}"))
    return _open_stdin(names) if data is None else _open_file(data, names)


def require_file(path: Path) -> None:
    """Refuses what is no file.

    Raises:
        DataError: Says what it is instead.
    """
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir() if child.is_file())
        example = f", such as {path / inside[0]}" if inside else ""
        raise DataError(f"--data {path} is a folder; accepted: a file{example}")
    if not path.is_file():
        raise DataError(f"--data {path}: there is no such file")


def _open_file(path: Path, names: Names) -> Opened:
    is_text = Path(strip_compression(path.name)).suffix.lower() in lines_of_text.ENDINGS
    if is_text and names.text is None:
        return Opened(
            None,
            path,
            lambda: read_whole_lines(path, format_="text"),
            lambda line: _take_line(line, path),
        )
    source = open_file(path, reader="tasks")
    first = next((row for row in source.rows() if row.problem is None), None)
    columns = names.find({} if first is None else first.values)
    return Opened(columns, path, source.rows, lambda row: take_row(row, columns))


def _open_stdin(names: Names) -> Opened:
    """Opens standard input: rows where its first line is a JSON object, as in a file of them."""
    if sys.stdin is None:
        raise DataError(
            "standard input is closed, and no text is given; accepted: texts after the model, or "
            "limbeck predict MODEL < FILE"
        )
    lines = (Line(n, content, 0) for n, content in enumerate(sys.stdin.buffer, start=1))
    seen = []
    for line in lines:
        seen.append(line)
        if line.content.strip():
            break
    together = chain(seen, lines)
    first = parse_line(seen[-1], _STDIN) if seen else None
    is_json = first is not None and first.problem is None
    if names.text is None and not is_json:
        return Opened(None, None, lambda: together, _take_stdin, reads_once=True)
    columns = names.find({} if first is None else first.values)
    rows = (parse_line(line, _STDIN) for line in together if line.content.strip())
    return Opened(columns, None, lambda: rows, lambda row: take_row(row, columns), reads_once=True)


def _take_line(line: Line, path: Path) -> Given:
    text = decode_line(line, path).rstrip("\r\n")
    return take_text(text, place=f"{path}, line {line.number}", position=line.position)


def _take_stdin(line: Line) -> Given:
    given = _take_line(line, _STDIN)
    if given.shown.lstrip().startswith("{"):
        row = parse_line(line, _STDIN)
        if row.problem is None:
            raise DataError(
                f"{row.place}: a JSON object among lines of text; accepted: an object on every "
                f"line, or on none. It has: {shorten_names(row.values)}"
            )
    return given
