"""What `predict` and `embed` are given: rows of texts, the bad ones named or left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
from limbeck.sources import Row, require_whole_characters

_REPORTED: Final = 5  # of skipped rows, each with its reason
_LEAVE_OUT: Final = "--skip-bad leaves such rows out"


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


Recall = Callable[[], tuple[Sequence[str], Sequence[str]]]


def _recall_none() -> tuple[Sequence[str], Sequence[str]]:
    return (), ()


@dataclass(frozen=True)
class Names:
    """What columns may be called, in a file and on standard input alike.

    Attributes:
        texts: The column of texts, by the first of these names that there is.
        seconds: Likewise that of what stands beside them.
        text: What the user says that the first is called.
        second: What the user says that the other is called.
        recall: Returns both as the model was fine-tuned, which come before the others.
    """

    texts: Sequence[str]
    seconds: Sequence[str] = ()
    text: str | None = None
    second: str | None = None
    recall: Recall = _recall_none

    def find(self, known: Mapping[str, Any]) -> Columns:
        """Returns which columns are read of rows like the first one; a text's where it has none."""
        # Where one is named, a pair that is not would be one of whatever is called like a pair.
        texts, seconds = ([], []) if self.text is not None else self.recall()
        texts, seconds = [*texts, *self.texts], [*seconds, *self.seconds]
        text = next((name for name in texts if name in known), texts[0])
        second = next((name for name in seconds if name in known), None)
        return Columns(self.text or text, self.second or second)


class BadRows:
    """Rows that can't be used: the first one ends the command, or all are skipped and counted.

    Args:
        skip: Whether they are skipped.
        tells: Whether it is said of the first ones why.
    """

    def __init__(self, *, skip: bool, tells: bool = True) -> None:
        self._skip, self._tells = skip, tells
        self.count = 0

    def take(self, error: LimbeckError) -> None:
        """Raises the error, or counts it."""
        if not self._skip:
            raise error
        self.count += 1
        if self._tells and self.count <= _REPORTED:
            note(f"skipped: {str(error).removesuffix(f'. {_LEAVE_OUT}')}")

    def describe(self) -> str:
        """Says how many were skipped, at the end of a sentence; nothing if none were."""
        if not self.count:
            return ""
        return f", {self.count:,} bad one{'' if self.count == 1 else 's'} skipped"


def take_text(text: str, *, place: str, position: int = 0) -> Given:
    """Returns what is given by a text alone.

    Raises:
        DataError: If it is empty.
    """
    _require_some(text, place)
    return Given(text, place=place, position=position)


def take_row(row: Row, columns: Columns) -> Given:
    """Returns what is given by a row of a table.

    Raises:
        DataError: With its place, if a column is missing, empty or no text.
    """
    if row.problem is not None:
        raise DataError(row.problem)
    value = row.values.get(columns.text)
    words: list[Any] = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) for word in words):
        raise _explain(row, columns.text, option="--column")
    where = f"{row.place}: column '{columns.text}'"
    for word in words:
        require_whole_characters(word, where)
    _require_some(" ".join(words), where)
    second = None if columns.second is None else row.values.get(columns.second)
    if columns.second is not None:
        if not isinstance(second, str):
            raise _explain(row, columns.second, option="--pair-column")
        where = f"{row.place}: column '{columns.second}'"
        require_whole_characters(second, where)
        _require_some(second, where)
    values = {name: _as_json(found) for name, found in row.values.items()}
    return Given(value, second, values, row.place, row.position)  # type: ignore[arg-type]


def _require_some(text: str, where: str) -> None:
    """Refuses a text without a word, of which a model would say something all the same."""
    if not text.strip():
        raise DataError(f"{where} is empty; accepted: a text. {_LEAVE_OUT}")


def _explain(row: Row, column: str, *, option: str) -> DataError:
    if column in row.values:
        return DataError(
            f"{row.place}: column '{column}' is {shorten(row.values[column])}; accepted: a text, "
            f"or a list of words. {_LEAVE_OUT}"
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
