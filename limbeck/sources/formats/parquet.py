"""Parquet: tables in columns, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from limbeck.errors import DataError, shorten
from limbeck.sources.classes import class_names_of
from limbeck.sources.opening import open_seekable
from limbeck.sources.rows import ReadOptions, Row, require_columns

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
                for values in batch.to_pylist():
                    number += 1
                    if number > start:
                        position = size * number // table.metadata.num_rows
                        yield Row(values, f"{path}, row {number - 1}", number, position)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path} can't be read as Parquet: {reason}") from error


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
