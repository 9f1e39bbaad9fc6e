"""Columns of many small values in a few large arrays, of the smallest type that holds them.

A list of token ids in Python takes some 36 bytes a token, and what the tokenizers library gives for
a text 200 to 300; here it takes two, up to a vocabulary of 65,536.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Int64Array: TypeAlias = npt.NDArray[np.int64]


class Column(Sequence[Any]):
    """One value a row, as it was packed; some neighbours are a column that shares its arrays."""

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Column: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            assert step == 1, "a part of a column is some neighbours"
            return self._part(first, max(first, last))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._value(place % len(self))

    @abstractmethod
    def _part(self, first: int, last: int) -> Column:
        """Returns the rows from `first` up to `last`."""

    @abstractmethod
    def _value(self, place: int) -> Any:
        """Returns the value of one row."""

    def _join(self, columns: Sequence[Any]) -> Column | None:
        """Returns columns of this class, this one the first, as one; None if they can't be."""
        return None


class Numbers(Column):
    """One number a row.

    Shape:
        values: (rows,).
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def _part(self, first: int, last: int) -> Numbers:
        return Numbers(self.values[first:last])

    def _value(self, place: int) -> Any:
        return self.values[place].item()

    def _join(self, columns: Sequence[Numbers]) -> Numbers | None:
        arrays = [column.values for column in columns]
        if len({array.dtype.kind == "f" for array in arrays}) > 1:
            return None
        return Numbers(_concatenate(arrays))


class Objects(Column):
    """Any value a row."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def _part(self, first: int, last: int) -> Objects:
        return Objects(self.values[first:last])

    def _value(self, place: int) -> Any:
        return self.values[place]

    def _join(self, columns: Sequence[Objects]) -> Objects:
        return Objects([value for column in columns for value in column.values])


class Ragged(Column):
    """Some whole numbers a row.

    Args:
        values: Those of all rows, one after the other.
        starts: Where each row begins and the last one ends, (rows + 1,).
        kind: What a row is given back as.
    """

    def __init__(self, values: Array, starts: Int64Array, kind: type[Any] = list) -> None:
        self.values = values
        self.starts = starts
        self.kind = kind

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """Numbers in each row, (rows,)."""
        return np.diff(self.starts)

    def pad(self, chosen: Sequence[int], *, fill: int) -> tuple[Int64Array, Int64Array]:
        """Returns some rows filled up to the longest, (rows, width), and their lengths, (rows,)."""
        places = np.asarray(chosen)
        firsts, lasts = self.starts[places], self.starts[places + 1]
        lengths = lasts - firsts
        padded = np.full((len(places), int(lengths.max())), fill, dtype=np.int64)
        for row, first, last in zip(padded, firsts.tolist(), lasts.tolist(), strict=True):
            row[: last - first] = self.values[first:last]
        return padded, lengths

    def _part(self, first: int, last: int) -> Ragged:
        return Ragged(self.values, self.starts[first : last + 1], self.kind)

    def _value(self, place: int) -> Sequence[int]:
        row: Sequence[int] = self.values[self.starts[place] : self.starts[place + 1]].tolist()
        return row if self.kind is list else self.kind(row)

    def _join(self, columns: Sequence[Ragged]) -> Ragged | None:
        if len({column.kind for column in columns}) > 1:
            return None
        arrays = [column.values[column.starts[0] : column.starts[-1]] for column in columns]
        return Ragged(_concatenate(arrays), _join_starts(columns), self.kind)


class Nested(Column):
    """Some lists of whole numbers a row, at least one.

    Args:
        inner: The lists of all rows.
        starts: Where each row begins among them and the last one ends, (rows + 1,).
    """

    def __init__(self, inner: Ragged, starts: Int64Array) -> None:
        self.inner = inner
        self.starts = starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """Numbers in the longest list of each row, (rows,)."""
        inside = self.inner.lengths[self.starts[0] : self.starts[-1]]
        return np.maximum.reduceat(inside, self.starts[:-1] - self.starts[0])

    def pad(self, chosen: Sequence[int], *, fill: int) -> tuple[Int64Array, Int64Array]:
        """Returns some rows filled up, (rows, lists, width), and all lengths, (rows, lists)."""
        bounds = [(self.starts[place], self.starts[place + 1]) for place in chosen]
        counts = np.array([last - first for first, last in bounds])
        is_there = np.arange(counts.max()) < counts[:, None]
        lists = [number for first, last in bounds for number in range(first, last)]
        inside, sizes = self.inner.pad(lists, fill=fill)
        padded = np.full((*is_there.shape, inside.shape[1]), fill, dtype=np.int64)
        lengths = np.zeros(is_there.shape, dtype=np.int64)
        padded[is_there], lengths[is_there] = inside, sizes
        return padded, lengths

    def _part(self, first: int, last: int) -> Nested:
        return Nested(self.inner, self.starts[first : last + 1])

    def _value(self, place: int) -> list[Any]:
        return list(self.inner[self.starts[place] : self.starts[place + 1]])

    def _join(self, columns: Sequence[Nested]) -> Nested:
        inner = [column.inner[column.starts[0] : column.starts[-1]] for column in columns]
        joined = join(inner)
        assert isinstance(joined, Ragged)
        return Nested(joined, _join_starts(columns))


class Joined(Column):
    """Columns of different kinds, one after the other."""

    def __init__(self, parts: Sequence[Column]) -> None:
        self.parts = parts
        self.starts = list(accumulate(map(len, parts), initial=0))

    def __len__(self) -> int:
        return self.starts[-1]

    def _part(self, first: int, last: int) -> Column:
        parts = zip(self.parts, self.starts[:-1], strict=True)
        return join([part[max(first - at, 0) : max(last - at, 0)] for part, at in parts])

    def _value(self, place: int) -> Any:
        number = bisect_right(self.starts, place) - 1
        return self.parts[number][place - self.starts[number]]


def pack(values: Sequence[Any]) -> Column:
    """Returns a column of values: of numbers, or of lists or tuples of them, in arrays."""
    kinds = {type(value) for value in values}
    if kinds in ({int}, {float}):
        return Numbers(_shrink(np.array(values)))
    if kinds not in ({list}, {tuple}):
        return Objects(values)
    starts = np.array([0, *accumulate(map(len, values))], dtype=np.int64)
    flat = list(chain.from_iterable(values))
    (kind,) = kinds
    if flat and isinstance(flat[0], Sequence):
        inner = pack(flat)
        assert isinstance(inner, Ragged)
        return Nested(inner, starts)
    return Ragged(_shrink(np.array(flat, dtype=np.int64)), starts, kind)


def join(columns: Sequence[Column]) -> Column:
    """Returns several columns as one, in one array where they are of one kind."""
    columns = [column for column in columns if len(column)] or columns[:1]
    first = columns[0]
    if len(columns) == 1:
        return first
    is_one_kind = all(type(column) is type(first) for column in columns)
    joined = first._join(columns) if is_one_kind else None
    return Joined(columns) if joined is None else joined


def share_starts(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Lets columns with rows of the same lengths, such as ids and token types, say so once."""
    found = dict(columns)
    ragged = {name: column for name, column in columns.items() if isinstance(column, Ragged)}
    for name, column in ragged.items():
        like = next(o for o in ragged.values() if np.array_equal(o.starts, column.starts))
        found[name] = Ragged(column.values, like.starts, column.kind)
    return found


def _shrink(values: Array) -> Array:
    """Returns whole numbers in the smallest type that holds them all."""
    if not values.size or values.dtype.kind == "f":
        return values
    least, most = int(values.min()), int(values.max())
    small = np.min_scalar_type(most if least >= 0 else min(least, -most - 1))
    # Beside signed numbers, those of uint64 would become floats.
    return _collapse(values if small == np.uint64 else values.astype(small))


def _concatenate(arrays: Sequence[Array]) -> Array:
    return _collapse(np.concatenate(arrays))


def _collapse(values: Array) -> Array:
    """Lets numbers that are all alike, as the token types of single texts, take the room of one."""
    if values.size and (values == values[0]).all():
        return np.broadcast_to(values[0], values.shape)
    return values


def _join_starts(columns: Sequence[Ragged] | Sequence[Nested]) -> Int64Array:
    sizes = [np.diff(column.starts) for column in columns]
    return np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
