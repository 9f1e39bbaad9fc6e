"""Rows that are in memory: lists of dictionaries, data frames, whatever else gives mappings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from limbeck.errors import DataError, shorten
from limbeck.sources.hub import DatasetSource
from limbeck.sources.rows import EVERYTHING, ReadOptions, Row, RowSource, require_distinct


@dataclass(frozen=True)
class MemorySource:
    """Mappings from column to value, one a row.

    Example:
        >>> source = MemorySource("train", [{"text": "a fine film", "label": 1}])
        >>> [(row.values["label"], row.place) for row in source.rows()]
        [(1, 'train, row 0')]
    """

    name: str
    items: Iterable[Mapping[str, Any]]
    num_bytes: None = None
    """Not known."""

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """None: plain rows declare no classes."""
        return MappingProxyType({})

    def rows(self, options: ReadOptions = EVERYTHING, *, start: int = 0) -> Iterator[Row]:
        """Yields the rows after number `start`; what is no mapping with its `problem`."""
        for number, item in enumerate(self.items):
            if number < start:
                continue
            place, values, problem = f"{self.name}, row {number}", {}, None
            if isinstance(item, Mapping):
                values = {str(name): _as_read(value) for name, value in item.items()}
            else:
                problem = (
                    f"{place}: expected a mapping from columns to values such as "
                    f'{{"text": "...", "label": 1}}, got {shorten(str(item))}'
                )
            yield Row(values, place, number + 1, problem=problem)


def open_rows(name: str, given: object) -> RowSource:
    """Returns rows in memory as a source.

    Args:
        name: What messages call it.
        given: A list of dictionaries or another iterable of mappings, a `datasets.Dataset`, or a
            pandas or polars frame.

    Raises:
        DataError: If it is none of these.
    """
    if hasattr(given, "column_names") and hasattr(given, "features"):
        return DatasetSource(name, given)
    frame: Any = given
    if hasattr(given, "iter_rows"):  # polars; neither library is imported for what isn't of it
        return MemorySource(name, frame.iter_rows(named=True))
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # pandas, whose gaps are NaN
        require_distinct(name, list(map(str, frame.columns)))
        present = frame.astype(object).where(frame.notna(), None)
        return MemorySource(name, present.to_dict("records"))
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return MemorySource(name, given)
    raise DataError(
        f"{name} is {type(given).__name__} {shorten(str(given))}; accepted: a file, glob or "
        "hf://owner/name#split as text, a list of dictionaries or another iterable of them, a "
        "datasets.Dataset, or a pandas or polars frame"
    )


def _as_read(value: Any) -> Any:
    """Returns a value as files have it: NumPy's numbers and arrays, and tuples, as Python's own."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
