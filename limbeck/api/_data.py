"""Data as Python has them: rows in memory and paths, as the files and settings of a run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.api._put import put
from limbeck.errors import DataError, SettingsError
from limbeck.files import replace_file
from limbeck.sources import RowSource, name_split, open_rows

Rows: TypeAlias = str | Path | Iterable[Any]
"""Rows of one split: a list of dictionaries or another iterable of them, a `datasets.Dataset`, a
pandas or polars frame, or a file, glob or `hf://owner/name#split`."""
DataSet: TypeAlias = str | Path | Mapping[str, Rows]
"""All splits: a folder, `hf://owner/name`, a `DatasetDict`, or a dictionary of `Rows`."""

_SAMPLE = 100
"""Rows that are looked at to tell the task: enough to meet an odd one, few to read twice."""


@dataclass
class SplitInMemory:
    """Rows of one split that are to be written.

    Attributes:
        name: The split.
        source: Where the rows come from; they may come only once.
        named: Columns whose values are class numbers, with the names to write in their place.
    """

    name: str
    source: RowSource
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def sample(self) -> list[dict[str, Any]]:
        """The first rows."""
        first = list(itertools.islice(self._values, _SAMPLE))
        if not first:
            raise DataError(f"{self.name} has no rows; give at least one")
        return first

    @cached_property
    def _values(self) -> Iterator[dict[str, Any]]:
        return _read(self.source)

    def write(self, path: Path) -> None:
        """Writes all rows as JSON Lines."""
        rows = (self._name_classes(row) for row in itertools.chain(self.sample, self._values))
        with replace_file(path, error=DataError) as part, part.open("w", encoding="utf-8") as file:
            # What JSON has no form for, such as a date, is no text or label: any words will do.
            file.writelines(json.dumps(r, ensure_ascii=False, default=str) + "\n" for r in rows)

    def _name_classes(self, row: dict[str, Any]) -> dict[str, Any]:
        named = {c: _name(row[c], names) for c, names in self.named.items() if c in row}
        return {**row, **named}


@dataclass(frozen=True)
class GivenData:
    """The data that a call was given.

    Attributes:
        in_memory: Splits to be written into the run's folder.
        paths: Files or Hub addresses by split.
        whole: A folder or Hub data set with all splits, in place of the two others.
    """

    in_memory: tuple[SplitInMemory, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    whole: str | None = None

    @classmethod
    def of(cls, data: DataSet | None, **splits: Rows | None) -> GivenData:
        """Sorts what a call was given.

        Args:
            data: All splits.
            splits: Or each by its name; None where it is not given.

        Raises:
            SettingsError: If both are given.
            DataError: If something is no rows, or there is no split of a name.
        """
        given = {name: rows for name, rows in splits.items() if rows is not None}
        if data is not None and given:
            raise SettingsError(
                f"data and {next(iter(given))} are both given; give data= with all splits, or "
                "each split by its name"
            )
        if isinstance(data, str | Path):
            return cls(whole=str(data))
        given = given if data is None else _by_split(data)
        paths = {name: str(rows) for name, rows in given.items() if isinstance(rows, str | Path)}
        rows = {name: rows for name, rows in given.items() if name not in paths}
        return cls(tuple(SplitInMemory(n, open_rows(n, r)) for n, r in rows.items()), paths)

    @property
    def is_there(self) -> bool:
        """Whether anything was given."""
        return bool(self.in_memory or self.paths or self.whole)

    def require(self, *splits: str, function: str) -> None:
        """Refuses data that are given split by split and lack one.

        Data that lie elsewhere as a whole are looked at by the recipe.

        Raises:
            SettingsError: Names the first that is missing.
        """
        given = [*(split.name for split in self.in_memory), *self.paths]
        missing = [name for name in splits if name not in given]
        if given and missing:
            hold_out = ", or hold a part of train out: task_options={'validation_ratio': 0.1}"
            raise SettingsError(
                f"{function} has no {missing[0]} rows, which it needs (given: {', '.join(given)}); "
                f"give {missing[0]}=...{hold_out if missing[0] == 'validation' else ''}"
            )

    def setting(self, folder: Path) -> str | dict[str, str] | None:
        """Returns what the setting `data` is once the rows in memory are in a folder."""
        if self.whole is not None:
            return self.whole
        if self.in_memory and not self.paths:
            return str(folder)
        written = {split.name: str(folder / f"{split.name}.jsonl") for split in self.in_memory}
        return {**written, **self.paths} or None

    def write(self, folder: Path, *, out: Path) -> None:
        """Writes the rows in memory into a folder of the run's folder `out`."""
        for split in self.in_memory:
            put(folder / f"{split.name}.jsonl", split.write, out=out)

    def sample(self) -> SplitInMemory | None:
        """Returns the split in memory that tells best what the task is."""
        by_name = {split.name: split for split in self.in_memory}
        return next((by_name[n] for n in ("train", "validation", "test") if n in by_name), None)


def _by_split(data: Mapping[str, Rows]) -> dict[str, Rows]:
    """Returns the splits of a data set by our names; those of a `DatasetDict` may be others."""
    if not hasattr(data, "column_names"):
        return dict(data)
    found = {name_split(name): rows for name, rows in data.items()}
    splits = {name: rows for name, rows in found.items() if name is not None}
    if not splits:
        raise DataError(
            f"the data set has the splits {', '.join(data)}; give each by its name, such as "
            f"train=data['{next(iter(data), 'train')}']"
        )
    return splits


def _read(source: RowSource) -> Iterator[dict[str, Any]]:
    for row in source.rows():
        if row.problem:
            raise DataError(row.problem)
        yield dict(row.values)


def _name(value: Any, names: Sequence[str]) -> Any:
    """Returns a class's name, or those of a list; a number without a name stays, such as -1."""
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    is_class = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if is_class else value
