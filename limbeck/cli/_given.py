"""What `predict` and `embed` read: texts and their rows, as they are needed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from limbeck.cli._streams import note
from limbeck.errors import (
    DataError,
    LimbeckError,
    SettingsError,
    did_you_mean,
    shorten,
    shorten_names,
)
from limbeck.sources import Row, open_file, require_whole_characters
from limbeck.sources.formats import text as lines_of_text
from limbeck.sources.formats.jsonl import parse_line
from limbeck.sources.opening import Line, decode_line, read_whole_lines, strip_compression

_STDIN: Final = Path("standard input")  # what messages call it
_REPORTED: Final = 5  # of skipped rows, each with its reason


@dataclass(frozen=True)
class Given:
    """What is read by a model, and the row that it stands in.

    Attributes:
        text: A text, or the words of one that is divided already.
        second: The other text of a pair, or the question.
        values: The row's columns, none where a text stands alone.
        place: Where it stands, for messages.
        position: Bytes of the file that have been read.
    """

    text: str | list[str]
    second: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    position: int = 0

    @property
    def shown(self) -> str:
        """The text, words with blanks between them, in which results give their places."""
        return self.text if isinstance(self.text, str) else " ".join(self.text)

    @property
    def row(self) -> Mapping[str, Any]:
        """The row's columns, or the text alone."""
        return self.values or {"text": self.text}


@dataclass(frozen=True)
class Columns:
    """Which columns hold what is read.

    Attributes:
        text: The text, or the words.
        second: The other text of a pair, or the question; None for none.
    """

    text: str
    second: str | None = None


class BadRows:
    """Rows that can't be used: the first one ends the command, or all are skipped and counted."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.count = 0

    def take(self, error: LimbeckError) -> None:
        """Raises the error, or counts it."""
        if not self._skip:
            raise error
        self.count += 1
        if self.count <= _REPORTED:
            note(f"skipped: {error}")

    def describe(self) -> str:
        """Says how many were skipped, at the end of a sentence; nothing if none were."""
        return f", {self.count:,} bad ones skipped" if self.count else ""


def find_columns(path: Path, texts: Sequence[str], seconds: Sequence[str]) -> Columns:
    """Returns the first of some names that the file's first row has; a text's where it has none.

    Args:
        path: The file.
        texts: What the column of texts may be called.
        seconds: What that of the other texts may be called.

    Raises:
        DataError: If the file can't be read.
    """
    known: Mapping[str, Any] = {}
    if path.is_file() and not is_lines(path):
        first = next(iter(open_file(path, reader="tasks").rows()), None)
        known = {} if first is None or first.problem is not None else first.values
    return Columns(
        text=next((name for name in texts if name in known), texts[0]),
        second=next((name for name in seconds if name in known), None),
    )


def is_lines(path: Path) -> bool:
    """Tells whether a file is plain text, by its name."""
    return Path(strip_compression(path.name)).suffix.lower() in lines_of_text.ENDINGS


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


def read_file(path: Path, columns: Columns | None, bad: BadRows) -> Iterator[Given]:
    """Yields the rows of a table, or without columns the lines of a text file.

    Raises:
        DataError: With its place, for what is wrong with a row.
    """
    found = False
    if columns is None:
        numbered = read_whole_lines(path, format_="text")
        givens = _take_each(numbered, lambda line: _take_line(line, path, is_json=False), bad)
    else:
        rows = open_file(path, reader="tasks").rows()
        givens = _take_each(rows, lambda row: _take(row, columns), bad)
    for given in givens:
        found = True
        yield given
    if not found:
        reason = "none that can be used" if bad.count else "it is empty"
        raise DataError(f"--data {path} has no rows: {reason}")


def read_stdin(columns: Columns | None, bad: BadRows) -> Iterator[Given]:
    """Yields the lines of standard input, or columns of them where they are JSON objects.

    Raises:
        DataError: With its number, for a line that is not text, or lacks a column.
    """
    if sys.stdin is None:
        raise DataError(
            "standard input is closed, and no text is given; accepted: texts after the model, or "
            "limbeck predict MODEL < FILE"
        )
    lines = (Line(n, content, 0) for n, content in enumerate(sys.stdin.buffer, start=1))
    if columns is None:
        return _take_each(lines, lambda line: _take_line(line, _STDIN, is_json=True), bad)
    rows = (parse_line(line, _STDIN) for line in lines if line.content.strip())
    return _take_each(rows, lambda row: _take(row, columns), bad)


def _take_each(items: Any, take: Any, bad: BadRows) -> Iterator[Given]:
    for item in items:
        try:
            given = take(item)
        except DataError as error:
            bad.take(error)
        else:
            yield given


def _take_line(line: Line, path: Path, *, is_json: bool) -> Given:
    text = decode_line(line, path).rstrip("\r\n")
    if is_json and text.lstrip().startswith("{"):
        row = parse_line(line, path)
        if row.problem is None:
            raise DataError(
                f"{row.place}: a JSON object, not a text; say which column holds the text, with "
                f"--column NAME. The line has: {shorten_names(row.values)}"
            )
    return Given(text, place=f"{path}, line {line.number}", position=line.position)


def _take(row: Row, columns: Columns) -> Given:
    if row.problem is not None:
        raise DataError(row.problem)
    value = row.values.get(columns.text)
    words: list[Any] = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) for word in words):
        raise _explain(row, columns.text, option="--column")
    for word in words:
        require_whole_characters(word, f"{row.place}: column '{columns.text}'")
    second = None if columns.second is None else row.values.get(columns.second)
    if columns.second is not None:
        if not isinstance(second, str):
            raise _explain(row, columns.second, option="--pair-column")
        require_whole_characters(second, f"{row.place}: column '{columns.second}'")
    values = {name: _as_json(found) for name, found in row.values.items()}
    return Given(value, second, values, row.place, row.position)  # type: ignore[arg-type]


def _explain(row: Row, column: str, *, option: str) -> DataError:
    if column in row.values:
        return DataError(
            f"{row.place}: column '{column}' is {shorten(row.values[column])}; accepted: a text, "
            "or a list of words"
        )
    return DataError(
        f"{row.place}: has no text '{column}', nor a list of words."
        f"{did_you_mean(column, row.values)} It has: {shorten_names(row.values)}. Say which it is "
        f"with {option} NAME"
    )


def _as_json(value: Any) -> Any:
    """Returns a value with None for each number that JSON can't hold, as a table's gaps are."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    return value


def require_new(names: Sequence[str], given: Given, *, written_by: str) -> Given:
    """Returns a row that has no column in which results would stand.

    Args:
        names: The columns of the results.
        given: The row.
        written_by: The option that writes them.

    Raises:
        DataError: Names the column.
    """
    for name in names:
        if name in given.values:
            raise DataError(
                f"{given.place}: the rows have a column '{name}' already, which {written_by} would "
                "write; rename it in the data"
            )
    return given


def check_texts(
    texts: Sequence[str], *, command: str, model: str, column: str | None, data: Path | None
) -> None:
    """Refuses texts beside a file, and a file's name for a text.

    Raises:
        SettingsError: Says how to give what was meant.
    """
    if texts and data is not None:
        raise SettingsError(
            f"command line: --data {data} and a text are both given; leave one of them out"
        )
    if texts and column is not None:
        raise SettingsError(
            f"command line: --column is for a file or JSON Lines on standard input, and a text is "
            f"given; accepted: limbeck {command} {model} --column {column} < FILE"
        )
    if len(texts) == 1 and _is_file(texts[0]):
        raise SettingsError(
            f"command line: '{texts[0]}' is a file, and its name would be taken for the text; "
            f"accepted, for the text of each of its lines: limbeck {command} {model} < {texts[0]}, "
            f"for a column of a table: limbeck {command} {model} --data {texts[0]} --column NAME"
        )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, as texts are
        return False
