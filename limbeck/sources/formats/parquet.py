"""Parquet: tables in columns, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError, shorten, with_article
from limbeck.sources.classes import class_names_of
from limbeck.sources.opening import open_seekable
from limbeck.sources.rows import ReadOptions, Row, Unreadable, require_columns, require_distinct

ENDINGS: Final = (".parquet",)
SERVES: Final = ("corpora", "tasks")

_ROWS_AT_A_TIME = 64
"""Whole novels may stand in rows, so few; reading is not slower for it."""


def read(path: Path, options: ReadOptions, *, start: int) -> Iterator[Row]:
    """Yields the rows of a table.

    Raises:
        DataError: If the file can't be read, or lacks a column.
    """
    # pyarrow comes with `datasets`; it is heavy, so only this reader imports it
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_seekable(path) as stream:
            size = path.stat().st_size
            table = pq.ParquetFile(stream, pre_buffer=False, buffer_size=2**20)
            require_distinct(str(path), table.schema_arrow.names)
            require_columns(str(path), table.schema_arrow.names, options)
            number = 0
            for batch in table.iter_batches(
                batch_size=_ROWS_AT_A_TIME,
                columns=list(options.columns) or None,
                use_threads=False,
            ):
                if number + len(batch) <= start:
                    number += len(batch)
                    continue
                for values in _read_values(batch):
                    number += 1
                    if number > start:
                        position = size * number // table.metadata.num_rows
                        yield Row(values, f"{path}, row {number - 1}", number, position)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path} can't be read as Parquet: {reason}") from error


def _read_values(batch: Any) -> list[dict[str, Any]]:
    """Returns the rows of a batch; what Python can't hold is `Unreadable` there."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError):  # of which one value in a column is enough
        columns = [[_read_value(value) for value in column] for column in batch.columns]
        names = batch.schema.names
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return rows


def _read_value(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return Unreadable(f"bytes that are not UTF-8: {shorten(error.object)}")
    except (ValueError, OverflowError) as error:
        return Unreadable(f"{with_article(str(value.type))} that Python can't hold: {error}")


def read_class_names(path: Path) -> dict[str, tuple[str, ...]]:
    """Returns the classes that `datasets` has written into a table's metadata.

    Raises:
        DataError: If the file or the metadata can't be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_seekable(path) as stream:
            schema = pq.read_schema(stream)
        if b"huggingface" not in (schema.metadata or {}):
            return {}
        import datasets

        return class_names_of(datasets.Features.from_arrow_schema(schema))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = shorten(str(error).strip(), length=200, quoted=False)
        raise DataError(
            f"{path} says in its metadata which classes it has, but that can't be read: {reason}; "
            "write it again, with the names of classes in place of numbers"
        ) from error
