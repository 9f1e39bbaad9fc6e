"""JSON: one list of objects, or one under `data` as SQuAD has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from limbeck.errors import DataError, shorten
from limbeck.files import parse_json
from limbeck.sources.formats.jsonl import explain, parse_line
from limbeck.sources.opening import decode_line, read_document
from limbeck.sources.rows import ReadOptions, Row

ENDINGS: Final = (".json",)
SERVES: Final = ("tasks",)  # it is read whole


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the rows of a list of them, of one under `data`, or of JSON Lines by this name.

    Raises:
        DataError: If it is none of these.
    """
    lines = read_document(path)
    content = "".join(decode_line(line, path) for line in lines)
    try:
        document = parse_json(content)
    except ValueError as error:
        if getattr(error, "msg", None) != "Extra data":  # after a first object
            raise explain(error, content, path=path) from None
        yield from (parse_line(line, path) for line in lines[start:] if line.content.strip())
        return
    rows = document.get("data", [document]) if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"{path}: expected a list of JSON objects, or one under 'data', got {shorten(content)}"
        )
    for number, row in enumerate(rows[start:], start=start):
        yield Row(row, f"{path}, {row.get('title', f'row {number}')}", number + 1)
