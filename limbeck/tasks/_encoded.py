"""Encoded examples, kept in a few large arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from limbeck.errors import DataError
from limbeck.tasks._columns import Column, Int64Array, Nested, Ragged, join, pack, share_starts
from limbeck.tasks._examples import EncodedExample
from limbeck.tokenizers import TextError

ItemT = TypeVar("ItemT")

_ROWS_AT_A_TIME = 1024  # that stand as Python objects until they are packed
_CHARACTERS_AT_A_TIME = 2**19  # some 100,000 tokens, 30 MB in the tokenizers library's form


class EncodedExamples(Sequence[EncodedExample]):
    """Encoded examples of one type, two to four bytes a token; each is made anew when looked at.

    Args:
        row_type: `EncodedExample`, or what adds fields to it.
        columns: By the names of its fields.

    Example:
        >>> row = EncodedExample(index=0, input_ids=[2, 7, 3], token_type_ids=None, label=1)
        >>> examples = EncodedExamples.of([row])
        >>> examples[0] == row, examples.lengths.tolist()
        (True, [3])
    """

    def __init__(self, row_type: type[EncodedExample], columns: Mapping[str, Column]) -> None:
        self._row_type = row_type
        self._columns = columns

    @classmethod
    def of(cls, rows: Iterable[EncodedExample]) -> EncodedExamples:
        """Packs rows, at least one, as they come."""
        rows, parts = iter(rows), []
        while chunk := list(islice(rows, _ROWS_AT_A_TIME)):
            names = [field.name for field in fields(chunk[0])]
            columns = {name: pack([getattr(row, name) for row in chunk]) for name in names}
            parts.append(cls(type(chunk[0]), columns))
        return cls.join(parts)

    @classmethod
    def join(cls, parts: Sequence[EncodedExamples]) -> EncodedExamples:
        """Returns the rows of all parts, one part after the other; of one part, that part."""
        first = parts[0]
        if len(parts) == 1:
            return first
        columns = {name: join([part._columns[name] for part in parts]) for name in first._columns}
        return cls(first._row_type, share_starts(columns))

    def __len__(self) -> int:
        return len(self._columns["index"])

    @overload
    def __getitem__(self, place: int) -> EncodedExample: ...
    @overload
    def __getitem__(self, place: slice) -> EncodedExamples: ...
    def __getitem__(self, place: int | slice) -> EncodedExample | EncodedExamples:
        values: dict[str, Any] = {name: column[place] for name, column in self._columns.items()}
        if isinstance(place, slice):
            return EncodedExamples(self._row_type, values)
        return self._row_type(**values)

    @property
    def input_ids(self) -> Ragged | Nested:
        """Token ids; for multiple choice, lists of them."""
        column = self._columns["input_ids"]
        assert isinstance(column, Ragged | Nested)
        return column

    @property
    def token_type_ids(self) -> Ragged | Nested | None:
        """As `input_ids`, or None for a family without them."""
        column = self._columns["token_type_ids"]
        return column if isinstance(column, Ragged | Nested) else None

    @property
    def labels(self) -> Column:
        """What the task's loss compares with, None where there is none."""
        return self._columns["label"]

    @cached_property
    def lengths(self) -> Int64Array:
        """Tokens of each row, the longest of several choices, (rows,)."""
        return self.input_ids.lengths

    @cached_property
    def is_labelled(self) -> npt.NDArray[np.bool_]:
        """Whether a row has a label, (rows,)."""
        return np.array([label is not None for label in self.labels])


def texts_at_a_time(
    items: Sequence[ItemT], *, num_characters: Callable[[ItemT], int]
) -> Iterator[tuple[int, Sequence[ItemT]]]:
    """Divides what is to be encoded, so that memory does not grow with it.

    Args:
        items: Texts, or what has them.
        num_characters: Returns how long one is.

    Yields:
        Where a part begins, and the part, at least one item.
    """
    start = size = 0
    for place, item in enumerate(items):
        size += num_characters(item)
        if size >= _CHARACTERS_AT_A_TIME:
            yield start, items[start : place + 1]
            start, size = place + 1, 0
    if start < len(items):
        yield start, items[start:]


@contextmanager
def naming_examples(start: int, owners: Sequence[int] | None = None) -> Iterator[None]:
    """Names the example whose text the tokenizer can't encode.

    Args:
        start: Where the part begins that is encoded.
        owners: For each of its texts, which of the part's examples has it; by default one each.

    Raises:
        DataError: In place of the tokenizer's own, which counts the texts of the part.
    """
    try:
        yield
    except TextError as error:
        place = error.index if owners is None else owners[error.index]
        raise DataError(f"example {start + place} {error.problem}") from None
