"""Opening files: compressed or not, line by line in bounded memory, or for random access."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from limbeck import limits
from limbeck.errors import DataError
from limbeck.system_errors import explain

COMPRESSIONS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
"""What opens a compressed file, by the end of its name."""

# OSError comprises gzip.BadGzipFile.
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONE_RETURN = re.compile(r"(?<=\r)(?!\n)")


class Line(NamedTuple):
    """A line, or a piece of a very long one."""

    number: int
    """Counted from 1; all pieces of a line have its number."""
    content: bytes
    """The bytes, with the line's end."""
    position: int
    """Bytes on disk that have been read."""


def strip_compression(name: str) -> str:
    """Returns a file's name without the ending of its compression."""
    for ending in COMPRESSIONS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _decompress(raw: IO[bytes], path: Path) -> IO[bytes]:
    opener = COMPRESSIONS.get(path.suffix.lower())
    stream: IO[bytes] = raw if opener is None else opener(raw)
    return stream


def read_lines(path: Path, *, max_bytes: int) -> Iterator[Line]:
    """Yields the lines of a file; one longer than `max_bytes` in pieces cut between characters.

    Raises:
        DataError: If the file can't be read or is damaged.
    """
    number, carried, in_line = 0, b"", False
    try:
        with path.open("rb") as raw:
            stream = _decompress(raw, path)
            while content := stream.readline(max_bytes):
                number += not in_line
                in_line = not content.endswith(b"\n")
                content = carried + content if carried else content
                content, carried = _cut_whole_characters(content)
                yield Line(number, content, raw.tell())
            if carried:
                yield Line(number, carried, raw.tell())
    except _DAMAGE as error:
        after = f" after line {number}" if number else ""
        raise DataError(f"{path} can't be read{after}: {_reason(error)}") from error


def read_whole_lines(path: Path, *, format_: str) -> Iterator[Line]:
    """Yields the lines of a file, none in pieces.

    Raises:
        DataError: If the file can't be read, is damaged, or has a line that is too long for rows.
    """
    limit = limits.LINE_BYTES.value
    for line in read_lines(path, max_bytes=limit + 4):  # a piece may end a character early
        if len(line.content) > limit:
            raise DataError(
                f"{path}, line {line.number} is too long; accepted: {limits.LINE_BYTES.describe()} "
                f"bytes. Is it {format_}?"
            )
        yield line


def read_document(path: Path) -> list[Line]:
    """Returns all lines of a file that is one document.

    Raises:
        DataError: If the file can't be read, is damaged, or is too long to be read whole.
    """
    limit = limits.DOCUMENT_BYTES.value
    lines, size = [], 0
    for line in read_lines(path, max_bytes=limit + 4):
        size += len(line.content)
        if size > limit:
            raise DataError(
                f"{path} is too long for one JSON document; accepted: "
                f"{limits.DOCUMENT_BYTES.describe()} bytes. Give JSON Lines, an object a line"
            )
        lines.append(line)
    return lines


def decode_line(line: Line, path: Path) -> str:
    """Returns a line as text; a mark of the byte order at the file's beginning is left out.

    Raises:
        DataError: If it is not UTF-8; says what stands there.
    """
    try:
        return line.content.decode("utf-8-sig" if line.number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        there = error.object[max(error.start - 20, 0) : error.start + 20]
        encoding = "utf-16" if line.content.startswith(_UTF16_MARKS) else "latin1"
        raise DataError(
            f"{path}, line {line.number}: {there!r} is not UTF-8 ({error.reason}); convert the "
            f"file first, such as with iconv -f {encoding} -t utf-8"
        ) from None


def split_returns(text: str) -> list[str]:
    r"""Returns the lines of a line that has `\r` alone as line end within it, as on old Macs."""
    return _LONE_RETURN.split(text) if "\r" in text[:-2] else [text]


@contextmanager
def open_seekable(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file for random access; a compressed one is first unpacked to a temporary file.

    Raises:
        DataError: If the file can't be read or is damaged.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} can't be read: {_reason(error)}") from error
    with raw:
        if strip_compression(path.name) == path.name:
            yield raw
            return
        with tempfile.TemporaryFile() as plain:
            _unpack(_decompress(raw, path), plain, path)
            plain.seek(0)
            yield plain


def _unpack(packed: IO[bytes], plain: IO[bytes], path: Path) -> None:
    limit = limits.UNPACKED_BYTES.value
    while True:
        try:
            content = packed.read(2**20)
        except _DAMAGE as error:
            raise DataError(f"{path} can't be read: {_reason(error)}") from error
        if not content:
            return
        try:
            plain.write(content)
        except OSError as error:
            reason = explain(error, path=tempfile.gettempdir(), writes=True)
            raise DataError(f"{path} can't be unpacked: {reason}, named by TMPDIR") from error
        if plain.tell() > limit:
            raise DataError(
                f"{path} is too large to be unpacked; accepted: "
                f"{limits.UNPACKED_BYTES.describe()} bytes. Parquet needs no compression of its own"
            )


def _reason(error: Exception) -> str:
    """Returns what is wrong with a file, in the system's case with what helps."""
    if isinstance(error, OSError) and error.errno:
        return explain(OSError(error.errno, error.strerror))  # whose path the message has
    return str(error)


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
