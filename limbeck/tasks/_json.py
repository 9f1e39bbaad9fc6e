"""Rows of JSON and JSON Lines, each with its place, and where broken JSON is broken."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from limbeck.errors import DataError


def read_document(path: Path, text: TextIO) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the rows of a file that is one list of them, or has it under `data`, or is JSON Lines.

    Raises:
        DataError: If it is none of these.
    """
    content = text.read()
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":  # after a first object
            raise DataError(_describe(path, error)) from None
        yield from read_lines(path, io.StringIO(content))
        return
    rows = document.get("data", [document]) if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"{path}: expected a list of JSON objects, or one under 'data', got {content[:60]!r}"
        )
    for number, row in enumerate(rows):
        yield row, f"{path}, {row.get('title', f'row {number}')}"


def read_lines(path: Path, text: TextIO) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the object of every line that is not blank.

    Raises:
        DataError: If a line is no JSON object.
    """
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            raise DataError(_describe(path, error, first_line=number)) from None
        place = f"{path}, line {number}"
        if not isinstance(values, dict):
            raise DataError(
                f"{place}: expected one JSON object a line such as "
                f'{{"text": "...", "label": 1}}, got {line[:60].strip()!r}'
            )
        yield values, place


def _describe(path: Path, error: json.JSONDecodeError, *, first_line: int = 1) -> str:
    there = error.doc[max(error.pos - 30, 0) : error.pos + 30]
    return (
        f"{path}, line {first_line + error.lineno - 1}, column {error.colno}: not valid JSON: "
        f"{error.msg} at {there!r}; correct it"
    )
