"""Where a task's rows come from: JSON Lines, CSV, TSV, gzip of these, or a Hub data set."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from limbeck.errors import DataError, did_you_mean
from limbeck.tasks._conll import read_sentences
from limbeck.tasks._json import read_document, read_lines

_HUB = "hf://"
_SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
    "transfer": ("transfer", "unlabelled", "unlabeled", "unsupervised"),
}
_COLUMNS_OF_WORDS = ("conll", "bio", "txt")
_FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", *_COLUMNS_OF_WORDS)
_FILE = re.compile(
    r"(?P<stem>[^.]+?)(-(?P<number>\d+)(-of-(?P<count>\d+))?)?"
    r"\.(?P<format>" + "|".join(_FORMATS) + r")(\.gz)?"
)
_TABLE_FIX = {
    "csv": "quote what holds commas, quotation marks or line breaks, or give JSON Lines",
    "tsv": "no field holds a tab or a line break; give JSON Lines where one must",
}


class Row(NamedTuple):
    """One row and where it stands, for messages."""

    values: Mapping[str, Any]
    place: str


@dataclass(frozen=True)
class Rows:
    """The rows of one split.

    Attributes:
        where: The files or the data set, for messages.
        rows: In the order of the source.
        class_names: For columns of classes, as Hub data sets declare them: the names by index.
    """

    where: str
    rows: list[Row]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_splits(data: str | Mapping[str, str], *, suffix: str = "") -> dict[str, Rows]:
    """Reads all splits of a data set.

    Args:
        data: A folder with train, validation and test files, `hf://owner/name[:config]`, or one
            file, glob or `hf://owner/name[:config]#split` per split.
        suffix: What names of splits may end in: `_matched` takes `validation_matched` too.

    Raises:
        DataError: If there is nothing to read, a row is malformed, or a split is empty.
    """
    if isinstance(data, Mapping):
        splits = {_known_split(name): _read_source(source) for name, source in data.items()}
    elif data.startswith(_HUB):
        splits = _read_hub(data, suffix=suffix)
    else:
        found = _files_by_split(Path(data), suffix=suffix)
        splits = {name: _read_files(files) for name, files in found.items()}
    for name, split in splits.items():
        if not split.rows:
            raise DataError(f"{split.where} ({name}) has no rows; give a file with at least one")
    return splits


def _known_split(name: str) -> str:
    if name not in _SPLIT_NAMES:
        raise DataError(
            f"data.{name}: there is no split of that name; accepted: {', '.join(_SPLIT_NAMES)}."
            + did_you_mean(name, _SPLIT_NAMES)
        )
    return name


def _read_source(source: str) -> Rows:
    """Reads one split from a file, a glob or one split of a Hub data set."""
    if source.startswith(_HUB):
        name, mark, split = source.partition("#")
        splits = _read_hub(name, split=split if mark else None)
        if len(splits) != 1:
            raise DataError(
                f"'{source}' does not say which split; write {source}#train, for example"
            )
        return next(iter(splits.values()))
    path = Path(source)
    if path.is_file():
        return _read_files([path])
    files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"'{source}' is neither a file nor a glob that matches one")
    return _read_files(files)


def _files_by_split(folder: Path, *, suffix: str) -> dict[str, list[Path]]:
    """Returns the files of each split of a folder, by their names."""
    if not folder.is_dir():
        kind = "a single file" if folder.is_file() else "not there"
        raise DataError(
            f"data = '{folder}' is {kind}; give a folder with train, validation and test files, "
            f"one file per split (data.train={folder}), or a Hub data set ({_HUB}owner/name)"
        )
    found: dict[str, list[Path]] = {}
    for split, stems in _SPLIT_NAMES.items():
        matches = [
            match
            for path in sorted(folder.iterdir())
            if (match := _FILE.fullmatch(path.name)) and match["stem"].removesuffix(suffix) in stems
        ]
        if matches:
            _require_one_set(matches, folder=folder, split=split)
            found[split] = [folder / match.string for match in matches]
    if not found:
        names = ", ".join(sorted(p.name for p in folder.iterdir())[:10]) or "nothing"
        raise DataError(
            f"{folder} has no train, validation or test file (it has: {names}); expected names "
            f"are train.jsonl, validation.csv, test.tsv.gz and the like, or give data.train=FILE"
        )
    return found


def _require_one_set(matches: list[re.Match[str]], *, folder: Path, split: str) -> None:
    """Refuses files that are neither one file nor all the shards of one."""
    numbers = [match["number"] for match in matches]
    kinds = {(match["stem"], match["format"], match["count"]) for match in matches}
    is_one = len(matches) == 1 or (None not in numbers and len(set(numbers)) == len(numbers))
    if len(kinds) > 1 or not is_one:
        names = ", ".join(match.string for match in matches)
        raise DataError(
            f"{folder} has several files for {split}: {names}; say which with data.{split}=FILE"
        )
    if matches[0]["count"] is None:
        return
    count, present = int(matches[0]["count"]), {int(number) for number in numbers}
    missing = set(range(count)) - present
    if missing and present != set(range(1, count + 1)):  # some count from 1
        raise DataError(
            f"{folder} has {len(matches)} of the {count} shards of {split}: no number "
            f"{', '.join(str(number) for number in sorted(missing)[:10])}; add what is missing, or "
            f"give what there is with data.{split}='{folder}/{matches[0]['stem']}-*'"
        )


def _read_files(files: list[Path]) -> Rows:
    rows: list[Row] = []
    for path in files:
        match = _FILE.fullmatch(path.name)
        kind = match["format"] if match else path.name.removesuffix(".gz").rpartition(".")[2]
        if kind not in _FORMATS:
            raise DataError(
                f"{path}: can't tell its format from its name; accepted endings: "
                f"{', '.join('.' + name for name in _FORMATS)}, all but .parquet also with .gz"
            )
        rows += _read_file(path, kind)
    return Rows(", ".join(str(path) for path in files), rows)


def _read_file(path: Path, kind: str) -> list[Row]:
    if kind == "parquet":
        return _read_parquet(path)
    try:
        with path.open("rb") as raw:
            binary = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            if kind in ("csv", "tsv"):
                return list(_table(path, text, kind))
            read = {"json": read_document, "jsonl": read_lines}.get(kind, read_sentences)
            return [Row(*found) for found in read(path, text)]
    except UnicodeDecodeError:
        raise DataError(_not_utf8(path)) from None
    except (OSError, EOFError, zlib.error) as error:  # no right to read it, or a damaged gzip
        raise DataError(f"{path} can't be read: {error}") from None


def _not_utf8(path: Path) -> str:
    """Says which line is not UTF-8, and what stands there."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                there = line[max(error.start - 20, 0) : error.start + 20]
                return (
                    f"{path}, line {number}: {there!r} is not UTF-8 ({error.reason}); convert the "
                    "file first, such as with iconv -f latin1 -t utf-8"
                )
    raise AssertionError(f"{path} has changed")


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path} can't be read as Parquet: {reason}") from None
    return [Row(values, f"{path}, row {number}") for number, values in enumerate(rows)]


def _table(path: Path, text: TextIO, kind: str) -> Iterator[Row]:
    # Tab-separated files of the GLUE kind have bare quotation marks inside sentences.
    options: dict[str, Any] = (
        {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if kind == "tsv" else {"strict": True}
    )
    reader = csv.reader(text, **options)
    try:
        header = next(reader, [])
        named = [name for name in header if name]  # spreadsheets leave empty columns behind
        if len(set(named)) < len(named):
            raise DataError(f"{path}, line 1: a column's name stands twice: {', '.join(header)}")
        for fields in reader:
            place = f"{path}, line {reader.line_num}"
            if not fields:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"{place}: {len(fields)} fields, but the header has {len(header)} "
                    f"({', '.join(header)}); " + _TABLE_FIX[kind]
                )
            yield Row(dict(zip(header, fields, strict=True)), place)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; {_TABLE_FIX[kind]}") from None


def _read_hub(address: str, *, split: str | None = None, suffix: str = "") -> dict[str, Rows]:
    """Reads `hf://owner/name[:config]`; all splits that are train, validation or test, or one."""
    import datasets

    name, _, config = address.removeprefix(_HUB).partition(":")
    try:
        loaded = datasets.load_dataset(name, config or None, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"the data set {address} can't be loaded: {reason}") from error
    parts = (
        {split: loaded}
        if split
        else {
            name: loaded[found]
            for name, stems in _SPLIT_NAMES.items()
            for found in list(loaded)
            if found.removesuffix(suffix) in stems
        }
    )
    if not parts:
        raise DataError(
            f"{address} has the splits {', '.join(loaded)}; say which is which, such as "
            f"data.validation={address}#{next(iter(loaded))}"
        )
    return {
        part: Rows(
            f"{address}#{part}",
            [Row(values, f"{address}#{part}, row {i}") for i, values in enumerate(rows)],
            {
                column: tuple(inner.names)
                for column, feature in rows.features.items()
                for inner in [getattr(feature, "feature", feature)]  # of a list's items
                if isinstance(inner, datasets.ClassLabel)
            },
        )
        for part, rows in parts.items()
    }
