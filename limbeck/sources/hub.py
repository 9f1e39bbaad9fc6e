"""Data sets of the Hub, through `datasets`: as a stream, or whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from limbeck.errors import DataError, shorten
from limbeck.sources.classes import class_names_of
from limbeck.sources.rows import EVERYTHING, ReadOptions, Row, require_columns

PREFIX: Final = "hf://"


@dataclass(frozen=True)
class HubAddress:
    """A data set as users write it: `hf://owner/name[:config][#split]`.

    Example:
        >>> HubAddress.parse("hf://nyu-mll/glue:sst2#train")
        HubAddress(path='nyu-mll/glue', config='sst2', split='train')
        >>> print(HubAddress.parse("hf://owner/name#test"))
        hf://owner/name#test
    """

    path: str
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads an address."""
        rest, _, split = text.removeprefix(PREFIX).partition("#")
        path, _, config = rest.partition(":")
        return cls(path, config or None, split or None)

    def __str__(self) -> str:
        config = f":{self.config}" if self.config else ""
        return f"{PREFIX}{self.path}{config}" + (f"#{self.split}" if self.split else "")

    def load(self, *, revision: str | None = None, streaming: bool = False) -> Any:
        """Returns the split, or all of them by name where the address has none.

        Raises:
            DataError: If there is no such data set, or it can't be loaded.
        """
        import datasets

        try:
            return datasets.load_dataset(
                self.path, self.config, split=self.split, revision=revision, streaming=streaming
            )
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(f"the data set {self} can't be loaded: {reason}") from error


@dataclass(frozen=True)
class DatasetSource:
    """The rows of a `datasets.Dataset` or `IterableDataset`."""

    name: str
    dataset: Any

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """The names by index of columns of classes, or of lists of them."""
        return class_names_of(self.dataset.features)

    def rows(self, options: ReadOptions = EVERYTHING, *, start: int = 0) -> Iterator[Row]:
        """Yields the rows after number `start`.

        Raises:
            DataError: If a column is missing, or reading fails on the way.
        """
        import datasets

        if self.dataset.column_names:  # a stream may not know
            require_columns(self.name, self.dataset.column_names, options)
        number = start
        try:
            for values in self.dataset.skip(start) if start else self.dataset:
                number += 1
                yield Row(values, f"{self.name}, row {number - 1}", number)
        except (datasets.exceptions.DatasetsError, OSError, ValueError, OverflowError) as error:
            reason = shorten(str(error), length=200, quoted=False)
            raise DataError(
                f"{self.name} can't be read after row {number}: {reason}; where a column that is "
                "not needed is at fault, leave it out (remove_columns)"
            ) from error


@dataclass(frozen=True)
class HubSource:
    """One split of a Hub data set, streamed, so that neither disk nor memory must hold it."""

    name: str
    """The address as the user wrote it."""
    address: HubAddress
    revision: str | None
    num_bytes: None = None
    """Not known."""

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """The names by index of columns of classes."""
        return self._load().class_names

    def rows(self, options: ReadOptions = EVERYTHING, *, start: int = 0) -> Iterator[Row]:
        """Yields the rows after number `start`.

        Raises:
            DataError: If the data set can't be loaded or lacks a column, or reading fails.
        """
        return self._load().rows(options, start=start)

    def _load(self) -> DatasetSource:
        return DatasetSource(
            str(self.address), self.address.load(revision=self.revision, streaming=True)
        )
