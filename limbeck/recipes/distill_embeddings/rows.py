"""The texts that a student learns from: each once, and the rows of data that they stand in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Self

import numpy as np
import numpy.typing as npt

from limbeck.data import CorpusSettings
from limbeck.data.sources import find_sources
from limbeck.errors import DataError, did_you_mean, shorten, shorten_names
from limbeck.files import sha256_of_texts
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.sources import ReadOptions, Row, require_whole_characters
from limbeck.train import Progress

Numbers = npt.NDArray[np.int64]

_READING = CorpusSettings(documents="line")
_ORDER_OF_HELD_OUT = 0
"""The same rows are held out for every seed, so that figures of two runs compare."""
_MOST_HELD_OUT = 0.1


@dataclass(frozen=True)
class TextRows:
    """Texts, and rows of their numbers.

    Attributes:
        texts: Each once, in the order of the data.
        rows: Which texts a row has.

    Shape:
        rows: (rows, texts of each).
    """

    texts: tuple[str, ...]
    rows: Numbers

    @classmethod
    def read(cls, settings: DistillEmbeddingsSettings, progress: Progress) -> Self:
        """Reads the rows; of single texts each once.

        Raises:
            DataError: If there is nothing to read, or a row lacks a text.
        """
        numbers: dict[str, int] = {}
        rows = [
            [numbers.setdefault(text, len(numbers)) for text in row]
            for row in islice(_read(settings, progress), settings.max_rows)
        ]
        if settings.rows == "texts":
            rows = [[number] for number in numbers.values()]
        if len(rows) < 2 / _MOST_HELD_OUT:
            raise DataError(
                f"texts = {_show(settings)} have {len(rows)} different rows; a tenth of them is "
                f"held out to measure with, so that at least {round(2 / _MOST_HELD_OUT)} are needed"
            )
        return cls(tuple(numbers), np.array(rows, dtype=np.int64))

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 over the texts and their rows."""
        return sha256_of_texts([*(f"{text}\0" for text in self.texts), str(self.rows.tolist())])

    def divide(self, num_held_out: int) -> tuple[Numbers, Numbers]:
        """Returns the rows to learn from, and those to measure with."""
        number = min(num_held_out, int(_MOST_HELD_OUT * len(self.rows)))
        order = np.random.default_rng(_ORDER_OF_HELD_OUT).permutation(len(self.rows))
        return self.rows[np.sort(order[number:])], self.rows[np.sort(order[:number])]


def _read(settings: DistillEmbeddingsSettings, progress: Progress) -> Iterator[list[str]]:
    """Yields each row's texts."""
    columns, is_loose = settings.text_columns, settings.rows == "texts"
    # Of single texts a row may have some of the columns, so that files may differ.
    needed = {} if is_loose and len(columns) > 1 else dict.fromkeys(columns, "columns")
    options = ReadOptions(columns=needed, documents="line")
    given = [settings.texts] if isinstance(settings.texts, str) else list(settings.texts)
    with progress.stage("Reading the texts", total=None, unit="rows") as stage:
        for source in find_sources(given, _READING):
            for row in source.rows(options):
                if row.problem:
                    raise DataError(row.problem)
                found = [
                    _text_of(row, column)
                    for column in columns
                    if _has(row, column, is_loose=is_loose)
                ]
                if is_loose:
                    if not found:
                        raise _lacks(row, columns)
                    yield from ([text] for text in found if text)
                elif not all(found):
                    raise DataError(
                        f"{row.place}: column '{columns[found.index('')]}' is empty; a row of "
                        f"rows = '{settings.rows}' needs all of its texts"
                    )
                else:
                    yield found
                stage.advance()


def _has(row: Row, column: str, *, is_loose: bool) -> bool:
    return not is_loose or row.values.get(column) is not None


def _text_of(row: Row, column: str) -> str:
    if column not in row.values:
        raise _lacks(row, (column,))
    value = row.values[column]
    if not isinstance(value, str):
        raise DataError(
            f"{row.place}: column '{column}' holds {shorten(value)}, not text; correct or remove "
            "the row"
        )
    require_whole_characters(value, f"{row.place}: column '{column}'")
    return value.strip()


def _lacks(row: Row, columns: tuple[str, ...]) -> DataError:
    names = " or ".join(map(repr, columns))
    return DataError(
        f"{row.place} has no column {names}; it has: {shorten_names(row.values)} (set columns)."
        f"{did_you_mean(columns[0], row.values)}"
    )


def _show(settings: DistillEmbeddingsSettings) -> str:
    return repr(settings.texts) if isinstance(settings.texts, str) else str(list(settings.texts))
