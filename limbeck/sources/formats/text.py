"""Plain text: a row for each block between blank lines, for each line, or for the file.

The text stands in the column that is asked for, `text` by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from limbeck.errors import DataError
from limbeck.sources.opening import decode_line, read_lines
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".txt", ".text")
SERVES: Final = ("corpora",)


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the texts, white space around them included; a row's place is its last line.

    Raises:
        DataError: If the file can't be read.
    """
    parts: list[str] = []
    number, size, position, problem = 0, 0, 0, None
    limit = options.max_characters
    place = str(path)
    column = next(iter(options.columns), "text")

    def row() -> Row:
        values = {} if problem else {column: "".join(parts)}
        return Row(values, place, number, position, problem)

    for line in read_lines(path, max_bytes=limit):
        place, position = f"{path}, line {line.number}", line.position
        try:
            text = decode_line(line, path)
        except DataError as error:
            problem, text = problem or str(error), "?"
        blank = options.documents == "block" and not text.strip()
        if not blank:
            parts.append(text)
            size += len(text)
        ends = blank or options.documents == "line" or size >= limit
        if ends and parts:
            number += 1
            if number > start:
                yield row()
            size, parts, problem = 0, [], None
    number += 1
    if parts and number > start:
        yield row()
