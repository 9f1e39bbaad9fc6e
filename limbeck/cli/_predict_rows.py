"""What `predict` reads and writes: texts with the other columns of their rows."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError, SettingsError, did_you_mean, shorten_names
from limbeck.files import replace_file
from limbeck.sources import Row, open_file, require_whole_characters
from limbeck.sources.formats.jsonl import parse_line
from limbeck.sources.opening import Line, decode_line, strip_compression

_STDIN: Final = Path("standard input")  # what messages call it
_ENDINGS: Final = (".jsonl", ".csv")


@dataclass(frozen=True)
class Given:
    """What is predicted of, and the row that it stands in.

    Attributes:
        text: A text, or the words of one that is divided already.
        values: The row's columns, none where a text stands alone.
    """

    text: str | list[str]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The text, words with blanks between them, in which results give their places."""
        return self.text if isinstance(self.text, str) else " ".join(self.text)


def read_file(path: Path, column: str) -> list[Given]:
    """Reads a column of a table, with its rows.

    Raises:
        DataError: With its place, for what is wrong with a row.
    """
    if not path.is_file():
        raise DataError(f"--data {path}: there is no such file")
    is_text = strip_compression(path.name).lower().endswith(".txt")  # of words and tags, in tasks
    remedy = f" For a text from each line: limbeck predict MODEL < {path}" if is_text else ""
    rows = open_file(path, reader="tasks").rows()
    return [_take(row, column, remedy=remedy) for row in rows]


def find_column(path: Path, names: Sequence[str]) -> str:
    """Returns the first of some names that the file's first row has; the first where it has none.

    Raises:
        DataError: If the file can't be read.
    """
    if path.is_file():
        first = next(iter(open_file(path, reader="tasks").rows()), None)
        if first is not None and first.problem is None:
            return next((name for name in names if name in first.values), names[0])
    return names[0]


def read_stdin(column: str | None) -> list[Given]:
    """Returns the lines of standard input, or a column of them where they are JSON objects.

    Raises:
        DataError: With its number, for a line that is not text, or lacks the column.
    """
    if sys.stdin is None:
        raise DataError(
            "standard input is closed, and no text is given; accepted: texts after the model, or "
            "limbeck predict MODEL < FILE"
        )
    lines = (Line(n, content, 0) for n, content in enumerate(sys.stdin.buffer, start=1))
    if column is None:
        return [_take_line(line) for line in lines]
    return [_take(parse_line(line, _STDIN), column) for line in lines if line.content.strip()]


def _take_line(line: Line) -> Given:
    text = decode_line(line, _STDIN).rstrip("\r\n")
    if text.lstrip().startswith("{"):
        row = parse_line(line, _STDIN)
        if row.problem is None:
            raise DataError(
                f"{row.place}: a JSON object, not a text; say which column holds the text, with "
                f"--column NAME. The line has: {shorten_names(row.values)}"
            )
    return Given(text)


def _take(row: Row, column: str, *, remedy: str = "") -> Given:
    if row.problem is not None:
        raise DataError(row.problem)
    value: Any = row.values.get(column)
    words: list[Any] = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) for word in words):
        raise DataError(
            f"{row.place}: has no text '{column}', nor a list of words."
            f"{did_you_mean(column, row.values)} It has: {shorten_names(row.values)}."
            + (remedy or " Say which it is with --column NAME")
        )
    for word in words:
        require_whole_characters(word, f"{row.place}: column '{column}'")
    return Given(value, {name: _as_json(found) for name, found in row.values.items()})


def _as_json(value: Any) -> Any:
    """Returns a value with None for each number that JSON can't hold, as a table's gaps are."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    return value


def require_writable(path: Path) -> None:
    """Refuses a file of results before anything is computed for it.

    Raises:
        SettingsError: If its name says no format, it is there already, or its folder is not.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise SettingsError(
            f"command line: --out {path} says no format; accepted: names that end in "
            f"{' or '.join(_ENDINGS)}"
        )
    if path.exists():
        raise SettingsError(
            f"command line: --out {path} is there already; give another name, or remove it"
        )
    if not path.parent.is_dir():
        raise SettingsError(f"command line: --out {path}: there is no folder {path.parent}")


def require_new(names: Sequence[str], given: Sequence[Given], *, written_by: str) -> None:
    """Refuses rows with a column that results would stand in, before anything is computed.

    Args:
        names: The columns of the results.
        given: The rows.
        written_by: The option that writes them.

    Raises:
        DataError: Names the column.
    """
    taken = [name for name in names if any(name in row.values for row in given)]
    if taken:
        raise DataError(
            f"the rows have a column '{taken[0]}' already, which {written_by} would write; rename "
            "it in the data"
        )


def write_rows(path: Path, given: Sequence[Given], found: Sequence[Mapping[str, Any]]) -> None:
    """Writes each row with what was found, as JSON Lines or CSV by the file's name.

    Args:
        path: The file.
        given: The rows, in their order.
        found: What is added to each of them, by column.

    Raises:
        DataError: If the file can't be written.
    """
    if path.suffix.lower() == ".jsonl":
        with (
            replace_file(path, error=DataError) as part,
            part.open("w", encoding="utf-8", errors="backslashreplace") as file,
        ):
            rows = _join(given, found)
            file.writelines(json.dumps(r, ensure_ascii=False, default=str) + "\n" for r in rows)
        return
    columns = list(dict.fromkeys(name for row in _join(given, found) for name in row))
    with (
        replace_file(path, error=DataError) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: _as_cell(value) for name, value in row.items()} for row in _join(given, found)
        )


def _join(given: Sequence[Given], found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row, more in zip(given, found, strict=True):
        yield {**(row.values or {"text": row.text}), **more}


def _as_cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
