"""Messages of `protobuf`, read and written field by field: a number, a kind and a value each.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final, TypeAlias

INT, LONG, BYTES, SHORT = 0, 1, 2, 5
"""How a field is written: a number of any length, 8 bytes, as many as are said, or 4."""
_MASK: Final = (1 << 64) - 1
Content: TypeAlias = bytes | mmap.mmap


class DamageError(Exception):
    """The bytes are no such message."""


def read_fields(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields each field: its number, its kind, its value or where that begins, and where it ends.

    One begins where the one before it ends.

    Raises:
        DamageError: If there is something else; the message says at which byte.
    """
    place = start
    while place < end:
        tag, place = read_number(content, place, end)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise DamageError(f"a field without a number at byte {place}")
        if kind == INT:
            value, place = read_number(content, place, end)
            yield number, kind, value, place
            continue
        if kind == BYTES:
            length, place = read_number(content, place, end)
        elif kind in (LONG, SHORT):
            length = 8 if kind == LONG else 4
        else:
            raise DamageError(f"a field of kind {kind} at byte {place}")
        if place + length > end:
            raise DamageError(f"it ends within a field that begins at byte {place}")
        yield number, kind, place, place + length
        place += length


def read_number(content: Content, place: int, end: int) -> tuple[int, int]:
    """Reads a whole number in seven bits a byte; returns it and where it ends.

    Raises:
        DamageError: If it does not end.
    """
    value = shift = 0
    while True:
        if place >= end or shift > 63:
            raise DamageError(f"a number without end at byte {place}")
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value & _MASK, place


def pack(number: int, value: int | bytes) -> bytes:
    """Writes a field."""
    if isinstance(value, int):
        return _pack_number(number << 3 | INT) + _pack_number(value)
    return _pack_number(number << 3 | BYTES) + _pack_number(len(value)) + value


def _pack_number(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
