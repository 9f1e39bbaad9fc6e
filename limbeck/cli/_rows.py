"""Rows through a model: each beside what was found for it, as the model gets there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from limbeck.cli._common import Common
from limbeck.cli._given import BadRows, Given
from limbeck.errors import DataError, LimbeckError

if TYPE_CHECKING:
    from limbeck.cli._opened import Opened
    from limbeck.cli._tasks import AnyPipeline

FoundT = TypeVar("FoundT")

_COUNTED_BYTES: Final = 2**24
"""The largest file that is read once more, to count its rows: 9 microseconds each, where the
smallest model takes a thousand."""

_TEXTS = ("text_column", "tokens_column", "context_column")
_SECONDS = ("text_pair_column",)
"""Options of tasks that name what a model reads."""


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
    opened: Opened,
    common: Common,
) -> Iterator[tuple[Given, FoundT]]:
    """Yields the same, and shows how many rows are done; of a large file also how far it is read.

    Args:
        found: Rows with what was found.
        description: What is done.
        opened: What they are read from.
        common: Of the command.
    """
    size = 0 if opened.data is None else opened.data.stat().st_size
    total = None if size > _COUNTED_BYTES or common.quiet else opened.count_rows()
    with common.progress().stage(description, total=total, unit="rows") as stage:
        stage.advance(0)  # rows come many at a time, and the first ones have taken time too
        for row, item in found:
            yield row, item
            if total is None and size:
                stage.reach(row.position / size)
            stage.advance()


def describe_cut(run: AnyPipeline, *, of: int) -> list[str]:
    """Says how many texts were cut, where, and what reads more of them; nothing if none were."""
    if not run.num_cut:
        return []
    more = f"--max-length takes up to {run.most_tokens}"
    if run.max_length >= run.most_tokens:
        more = "which is the most that the model takes"
    cut = f"{run.num_cut:,} of {of:,} texts were longer than {run.max_length} tokens"
    return [f"{cut}, and cut there; {more}"]


def recall_columns(model: str) -> tuple[list[str], list[str]]:
    """Returns what the columns of texts and of second ones are called that a model learned from."""
    from limbeck.checkpoints import read_task_name, resolve_folder

    folder = resolve_folder(model, weights=False)
    if read_task_name(folder) is None:
        return [], []
    from limbeck.recipes._tasks.memory import read_memory  # with torch
    from limbeck.tasks import load_task

    memory = read_memory(folder)
    assert memory is not None, "it names a task"
    options = load_task(memory.task).read_options(memory.task_options)
    texts, seconds = (
        [name for column in columns if (name := getattr(options, column, None)) is not None]
        for columns in (_TEXTS, _SECONDS)
    )
    return texts, seconds
