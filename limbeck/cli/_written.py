"""What `predict` and `embed` write: a file that grows row by row, and stands there whole or not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from limbeck.cli._opened import Opened
from limbeck.errors import DataError, SettingsError
from limbeck.files import replace_file

WrittenRow = Mapping[str, Any]

_GROUP: Final = 1024  # rows of Parquet that are written together


def require_writable(path: Path, endings: Sequence[str]) -> None:
    """Refuses a file of results before anything is computed for it.

    Raises:
        SettingsError: If its name says no format, it is there already, or its folder is not.
    """
    if path.suffix.lower() not in endings:
        raise SettingsError(
            f"command line: --out {path} says no format; accepted: names that end in "
            f"{', '.join(endings[:-1])} or {endings[-1]}"
        )
    if path.exists():
        raise SettingsError(
            f"command line: --out {path} is there already; give another name, or remove it"
        )
    if not path.parent.is_dir():
        raise SettingsError(f"command line: --out {path}: there is no folder {path.parent}")


def write_rows(path: Path, rows: Iterable[WrittenRow], *, opened: Opened) -> int:
    """Writes rows as they come, in the format that the file's name tells; returns their number.

    Args:
        path: The file; nothing stands under its name before the last row is written.
        rows: The rows.
        opened: What they are read from, which tells the columns of a table, and in Parquet their
            types.

    Raises:
        DataError: If the file can't be written, or a row does not fit the ones before it.
    """
    count = 0

    def counted() -> Iterator[WrittenRow]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    try:
        with replace_file(path, error=DataError) as part:
            _WRITERS[path.suffix.lower()](part, counted(), path, opened)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; nothing was written to {path}") from None
    return count


def _write_json_lines(part: Path, rows: Iterator[WrittenRow], *_: object) -> None:
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows:
            file.write(json.dumps(_plain(row), ensure_ascii=False, default=str) + "\n")


def _write_csv(part: Path, rows: Iterator[WrittenRow], path: Path, opened: Opened) -> None:
    # Rows of JSON need not have the same columns, and a table's header stands before all of them.
    columns = dict.fromkeys(name for given in opened.rows_ahead() for name in given.row)
    first = next(rows, None)
    columns |= dict.fromkeys(first or ())
    with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in chain([] if first is None else [first], rows):
            _require_known(row, columns, path)
            writer.writerow({name: _as_cell(value) for name, value in row.items()})


def _write_parquet(part: Path, rows: Iterator[WrittenRow], path: Path, opened: Opened) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data, known = opened.data, dict[str, Any]()
    if data is not None and data.suffix.lower() == ".parquet":
        known = {column.name: column.type for column in pq.read_schema(data)}
    types: dict[str, Any] = {}
    ahead = (given.row for given in opened.rows_ahead())
    try:
        while group := list(islice(ahead, _GROUP)):
            _add_types(pa, types, group)
        group = list(islice(rows, _GROUP))
        _add_types(pa, types, group)
        found = {name: pa.string() if t == pa.null() else t for name, t in types.items()}
        schema = pa.schema([*(found | known).items()])
        with pq.ParquetWriter(part, schema) as writer:
            while group:
                for row in group:
                    _require_known(row, types, path)
                cells = [_as_cells(row, known) for row in group]
                writer.write_table(pa.Table.from_pylist(cells, schema))
                group = list(islice(rows, _GROUP))
    except (pa.ArrowException, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"can't write {path}: a column's values are of several types ({reason}); give a name "
            "that ends in .jsonl, which has no types"
        ) from None


def _add_types(pa: Any, types: dict[str, Any], rows: Sequence[WrittenRow]) -> None:
    """Adds the types of columns to those that are known from rows before.

    Raises:
        pyarrow.ArrowException: If a column has values of several types.
    """
    for name in dict.fromkeys(name for row in rows for name in row):
        first = rows[0].get(name)
        if isinstance(first, np.ndarray):
            types[name] = pa.list_(pa.float32(), len(first))
        else:
            found = pa.array([_as_cell(row.get(name)) for row in rows]).type
            schemas = [pa.schema([(name, t)]) for t in (types.get(name, pa.null()), found)]
            types[name] = pa.unify_schemas(schemas, promote_options="permissive").field(name).type


def _write_vectors(part: Path, rows: Iterator[WrittenRow], *_: object) -> None:
    count, width = 0, 0
    with part.open("wb") as file:
        start = _write_header(file, 0, 0)
        for row in rows:
            vector = np.ascontiguousarray(row["embedding"], dtype="<f4")
            count, width = count + 1, len(vector)
            file.write(vector.tobytes())
        file.seek(0)
        # NumPy leaves room in the header for the number of rows to grow.
        assert _write_header(file, count, width) == start


def _write_header(file: IO[bytes], count: int, width: int) -> int:
    described = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, described)
    return file.write(header.getvalue())


_WRITERS: Final[dict[str, Callable[[Path, Iterator[WrittenRow], Path, Opened], None]]] = {
    ".jsonl": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".npy": _write_vectors,
}
ROWS: Final = (".jsonl", ".csv", ".parquet")
"""Endings of files of rows."""
VECTORS: Final = (".npy", ".parquet", ".jsonl")
"""Endings of files that hold vectors."""


def _require_known(row: WrittenRow, columns: Mapping[str, Any], path: Path) -> None:
    for name in row:
        if name not in columns:
            raise DataError(
                f"can't write {path}: a row has the column '{name}', which the first one lacks; "
                "give a name that ends in .jsonl, where rows may differ"
            )


def _plain(row: WrittenRow) -> dict[str, Any]:
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in row.items()}


def _as_cells(row: WrittenRow, known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of Parquet; what is nested and has no type that is known stands as JSON."""
    return {name: value if name in known else _as_cell(value) for name, value in row.items()}


def _as_cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
