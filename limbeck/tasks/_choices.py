"""Rows of multiple choice: what is asked, and endings of which one is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from pydantic import Field

from limbeck.errors import DataError, shorten, shorten_names
from limbeck.sources import Row, require_whole_characters
from limbeck.tasks._held_out import DataSettings
from limbeck.tasks._labels import UNLABELLED, label_text
from limbeck.tasks._lists import as_list
from limbeck.tasks._texts import read_text, require_column

_NUMBERED_ENDING = re.compile(r"ending\d+")


class ChoiceSettings(DataSettings):
    """Which columns hold what."""

    context_column: str = "sent1"
    """Column with the text that every ending belongs to: a sentence before, or a question."""
    start_column: str | None = "sent2"
    """Column with the words that every ending begins with; None where endings are whole."""
    choices_column: str | None = None
    """Column with the list of endings; by default they stand in `ending0`, `ending1`, ..."""
    label_column: str = "label"
    """Column with the right one: its index, counted from 0, its letter, from A, or the name that
    the data set gives it beside the text; empty, absent or -1 where it is not public."""
    max_choices: int = Field(default=26, ge=2)
    """Most endings of a row."""


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """What is asked, and the endings.

    Attributes:
        context: The text before.
        endings: Two or more.
        label: Index of the right one, or None where it is not public.
    """

    context: str
    endings: tuple[str, ...]
    label: int | None

    def shown(self) -> dict[str, Any]:
        """Returns the text and its endings."""
        return {"context": self.context, "endings": list(self.endings)}


def read_choice(row: Row, settings: ChoiceSettings, *, is_labelled: bool) -> ChoiceExample:
    """Makes an example of a row.

    Raises:
        DataError: If a column is missing, an ending is no text, or the label is none of them.
    """
    context = read_text(row, settings.context_column, "context_column")
    start = ""
    if settings.start_column:
        option = "start_column (none where endings are whole)"
        start = f"{read_text(row, settings.start_column, option)} "
    endings, names = _endings(row, settings)
    if not 2 <= len(endings) <= settings.max_choices or not all(
        isinstance(ending, str) for ending in endings
    ):
        raise DataError(
            f"{row.place}: {len(endings)} endings ({shorten(endings)}); a row needs 2 to "
            f"{settings.max_choices} texts in ending0, ending1, ... or in the list that "
            "task_options.choices_column names"
        )
    for ending in endings:
        require_whole_characters(ending, f"{row.place}: an ending")
    if is_labelled:
        require_column(row, settings.label_column, "label_column")
    label = _label(row, settings.label_column, names=names, num_choices=len(endings))
    if is_labelled and label is None:
        raise DataError(
            f"{row.place}: column '{settings.label_column}' has no label; only a test split may "
            "lack labels"
        )
    return ChoiceExample(
        context=context, endings=tuple(start + ending for ending in endings), label=label
    )


def _endings(row: Row, settings: ChoiceSettings) -> tuple[list[Any], Sequence[str]]:
    """Returns a row's endings, and the names that the data set has for them, if any."""
    if settings.choices_column is not None:
        require_column(row, settings.choices_column, "choices_column")
        given = as_list(row.values[settings.choices_column])
        names: Sequence[str] = ()
        if isinstance(given, Mapping):  # as the Hub has ARC's, where names are letters or numbers
            given, names = given.get("text", []), _names(given.get("label"))
        return (list(given) if isinstance(given, list) else [given]), names
    columns = [name for name in row.values if _NUMBERED_ENDING.fullmatch(name)]
    columns.sort(key=lambda name: int(name.removeprefix("ending")))
    values = [row.values[name] for name in columns]
    while values and values[-1] in (None, ""):  # rows of a table with fewer endings
        values.pop()
    return values, ()


def _names(given: object) -> tuple[str, ...]:
    """Returns what a data set calls its endings; numbers as the text that names them in a label."""
    return tuple(map(str, given)) if isinstance(given, list) else ()


def _label(row: Row, column: str, *, names: Sequence[str], num_choices: int) -> int | None:
    given = label_text(row, column)
    places = {str(place): place for place in range(num_choices)}
    places |= dict(zip(ascii_uppercase, range(num_choices), strict=False))
    places |= dict(zip(names, range(num_choices), strict=False))  # "1" may name the first one
    found = places.get(given, places.get(given.upper()))
    if found is None and given not in UNLABELLED:
        last = ascii_uppercase[:num_choices][-1]
        also = f", or {shorten_names(names[:num_choices])}" if names else ""
        raise DataError(
            f"{row.place}: {shorten(given)} in column '{column}' is none of the {num_choices} "
            f"endings; accepted: 0 to {num_choices - 1}, or A to {last}{also}"
        )
    return found
