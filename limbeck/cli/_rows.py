"""Rows through a model: each beside what was found for it, as the model gets there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from limbeck.cli._common import Common
from limbeck.cli._given import BadRows, Columns, Given, read_file, read_stdin
from limbeck.errors import DataError, LimbeckError

FoundT = TypeVar("FoundT")


def read_rows(
    texts: Iterable[str], *, data: Path | None, columns: Columns | None, bad: BadRows
) -> Iterator[Given]:
    """Yields what is to be read: the texts that are given, a file's rows, or standard input's."""
    texts = list(texts)
    if texts:
        return (Given(text, place=f"text {n}") for n, text in enumerate(texts, start=1))
    return read_stdin(columns, bad) if data is None else read_file(data, columns, bad)


def run_rows(
    rows: Iterable[Given],
    run: Callable[..., Iterable[FoundT | None]],
    *,
    read: Callable[[Given], Any],
    bad: BadRows,
) -> Iterator[tuple[Given, FoundT]]:
    """Yields each row with what a model finds in it; bad ones are named by place, or left out.

    Args:
        rows: The rows.
        run: Takes an iterator of inputs, and what to do with bad ones as `on_error`.
        read: Returns what is an input of a row.
        bad: What becomes of bad rows.
    """
    waiting: dict[int, Given] = {}  # by number, since tokens are made in another thread

    def inputs() -> Iterator[Any]:
        for number, row in enumerate(rows):
            waiting[number] = row
            yield read(row)

    def take(number: int, error: LimbeckError) -> None:
        words = str(error).removeprefix(f"input {number}").removeprefix(": ").strip()
        bad.take(DataError(f"{waiting[number].place}: {words}"))

    for number, found in enumerate(run(inputs(), on_error=take)):
        row = waiting.pop(number)
        if found is not None:
            yield row, found


def show_progress(
    found: Iterable[tuple[Given, FoundT]],
    *,
    description: str,
    data: Path | None,
    total: int | None,
    common: Common,
) -> Iterator[tuple[Given, FoundT]]:
    """Yields the same, and shows how far a file is read, or how many of the texts are done."""
    size = None if data is None else data.stat().st_size
    unit = "rows" if size is None else "bytes"
    with common.progress().stage(description, total=size or total, unit=unit) as stage:
        done = 0
        for count, (row, item) in enumerate(found, start=1):
            yield row, item
            stage.advance(1 if size is None else row.position - done)
            if size is not None:
                stage.update(rows=count)
            done = row.position
