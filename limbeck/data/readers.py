"""Readers: one source in, its records out one at a time, whatever its size.

A record is a line, a block, a file's text, or a row. Its number within its source is all that is
needed to continue there: `read_records(source, settings, start=number)`.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, cast

from limbeck.data.settings import CorpusSettings
from limbeck.data.sources import HUB_PREFIX, Source
from limbeck.errors import DataError, did_you_mean

MAX_LINE_BYTES: Final = 256 * 2**20
"""Longest line accepted: a file without line ends must not be read into memory whole."""


@dataclass(frozen=True)
class Record:
    """One record of a source: its text, or what is wrong with it."""

    number: int
    """Number of the record in its source, from 1."""
    text: str
    """The text, surrounding white space included; empty where `problem` is given."""
    num_bytes_read: int
    """How much of the source's file has been read, in bytes on disk (0 for a Hub data set)."""
    problem: str | None = None
    """File, line and reason where the record is malformed, else None."""


def read_records(source: Source, settings: CorpusSettings, *, start: int = 0) -> Iterator[Record]:
    """Yields a source's records after the first `start`.

    Raises:
        DataError: If the source can't be opened, is damaged, or lacks the text column. A single
            malformed record is yielded with its `problem`, not raised.
    """
    readers = {
        "text": _read_text,
        "jsonl": _read_jsonl,
        "parquet": _read_parquet,
        "hub": _read_hub,
    }
    return readers[source.format](source, settings, start)


def _read_text(source: Source, settings: CorpusSettings, start: int) -> Iterator[Record]:
    number, size, parts, problem = 0, 0, [], None
    limit = settings.max_document_characters
    position = 0
    for line_number, line, position in _read_lines(source, max_bytes=limit):
        try:
            text = line.decode("utf-8-sig" if line_number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = problem or f"{source.name}, line {line_number}: not UTF-8 ({error.reason})"
            text = "?"
        blank = settings.documents == "block" and not text.strip()
        if not blank:
            parts.append(text)
            size += len(text)
        ends = blank or settings.documents == "line" or size >= limit
        if ends and parts:
            number += 1
            if number > start:
                yield Record(number, "" if problem else "".join(parts), position, problem)
            size, parts, problem = 0, [], None
    if parts and number + 1 > start:
        yield Record(number + 1, "" if problem else "".join(parts), position, problem)


def _read_jsonl(source: Source, settings: CorpusSettings, start: int) -> Iterator[Record]:
    for number, line, position in _read_lines(source, max_bytes=MAX_LINE_BYTES):
        if number <= start or not line.strip():
            continue
        where = f"{source.name}, line {number}"
        if len(line) > MAX_LINE_BYTES - 4:  # a piece of a longer line may end a character early
            raise DataError(f"{where}: longer than {MAX_LINE_BYTES} bytes; is it JSON Lines?")
        text, problem = _parse_json_line(line.rstrip(b"\r\n"), settings.text_field)
        yield Record(number, text, position, f"{where}: {problem}" if problem else None)


def _parse_json_line(line: bytes, field: str) -> tuple[str, str | None]:
    """Returns the text of a JSON line, or an empty text and what is wrong."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError as error:
        return "", f"not UTF-8 ({error.reason})"
    except json.JSONDecodeError as error:
        return "", f"not JSON ({error.msg} at column {error.colno}): {_excerpt(line)}"
    except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
        return "", f"JSON that Python can't read ({error}): {_excerpt(line)}"
    if not isinstance(row, dict):
        return "", f"not a JSON object but {type(row).__name__}: {_excerpt(line)}"
    return _text_of(row, field)


def _text_of(row: dict[str, Any], field: str) -> tuple[str, str | None]:
    if field not in row:
        return "", f"no field '{field}'; it has {_fields(field, list(row))}"
    text = row[field]
    if not isinstance(text, str):
        return "", f"field '{field}' is {type(text).__name__}, not a string: {str(text)[:60]!r}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return "", f"field '{field}' holds half a surrogate pair at character {error.start}"
    return text, None


def _fields(field: str, names: list[str]) -> str:
    return f"{', '.join(map(repr, names)) or 'none'} (set text_field).{did_you_mean(field, names)}"


def _excerpt(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", errors="replace"))


def _read_parquet(source: Source, settings: CorpusSettings, start: int) -> Iterator[Record]:
    # pyarrow comes with `datasets`; it is heavy, so only this reader imports it
    import pyarrow as pa
    import pyarrow.parquet as pq

    field = settings.text_field
    try:
        with _open_plain(source) as stream:
            table = pq.ParquetFile(stream, pre_buffer=False, buffer_size=2**20)
            if field not in table.schema_arrow.names:
                raise DataError(
                    f"{source.name} has no column '{field}'; it has "
                    + _fields(field, table.schema_arrow.names)
                )
            num_rows = table.metadata.num_rows
            number = 0
            for batch in table.iter_batches(batch_size=64, columns=[field], use_threads=False):
                if number + len(batch) <= start:
                    number += len(batch)
                    continue
                for text in batch.column(0):
                    number += 1
                    if number > start:
                        text, problem = _text_of({field: text.as_py()}, field)
                        where = f"{source.name}, row {number}: {problem}" if problem else None
                        position = (source.num_bytes or 0) * number // num_rows
                        yield Record(number, text, position, where)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name} can't be read as Parquet: {error}") from error


def _read_hub(source: Source, settings: CorpusSettings, start: int) -> Iterator[Record]:
    import datasets

    name, field = source.name.removeprefix(HUB_PREFIX), settings.text_field
    where = f"{source.name} (config {settings.hub_config}, split {settings.hub_split})"
    number = start
    try:
        rows = datasets.load_dataset(
            name,
            settings.hub_config,
            split=settings.hub_split,
            revision=settings.hub_revision,
            streaming=True,
        )
        if rows.column_names and field not in rows.column_names:
            raise DataError(
                f"{where} has no column '{field}'; it has " + _fields(field, rows.column_names)
            )
        for row in rows.skip(start) if start else rows:
            number += 1
            text, problem = _text_of(row, field)
            yield Record(number, text, 0, f"{where}, row {number}: {problem}" if problem else None)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        raise DataError(f"{where} can't be read after row {number}: {error}") from error


def _read_lines(source: Source, *, max_bytes: int) -> Iterator[tuple[int, bytes, int]]:
    """Yields line number from 1, line with its end, and bytes of the file read so far.

    A line longer than `max_bytes` comes in several pieces under one number, cut between characters.
    """
    number, carried, in_line = 0, b"", False
    try:
        with source.path.open("rb") as raw:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if source.compressed else raw
            while line := stream.readline(max_bytes):
                number += not in_line
                in_line = not line.endswith(b"\n")
                line, carried = _cut_whole_characters(carried + line)
                yield number, line, raw.tell()
            if carried:
                yield number, carried, raw.tell()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{source.name} is damaged after line {number}: {error}") from error
    except OSError as error:
        raise DataError(f"{source.name} can't be read: {error}") from error


def _cut_whole_characters(line: bytes) -> tuple[bytes, bytes]:
    """Divides a line that may end within a UTF-8 character before that character."""
    if line.endswith(b"\n"):
        return line, b""
    for back in range(1, min(4, len(line)) + 1):
        byte = line[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (line[:-back], line[-back:]) if length > back else (line, b"")
    return line, b""


@contextmanager
def _open_plain(source: Source) -> Iterator[IO[bytes]]:
    """Opens a file for random access; a compressed one is first unpacked to a temporary file."""
    with source.path.open("rb") as raw:
        if not source.compressed:
            yield raw
            return
        with tempfile.TemporaryFile() as plain:
            try:
                shutil.copyfileobj(gzip.GzipFile(fileobj=raw), plain, length=2**20)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{source.name} is damaged: {error}") from error
            plain.seek(0)
            yield plain
