"""ONNX files whose large tensors a runtime reads from the file as it needs them."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Final

from limbeck.checkpoints._protobuf import BYTES, pack, read_fields

# Numbers of fields: of a model, of its graph, and of a tensor.
_GRAPH, _INITIALIZER = 7, 5
_DATA_TYPE, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 2, 9, 13, 14
_BYTE_TYPES: Final = (2, 3)  # unsigned and signed
_EXTERNAL: Final = 1
_LARGE: Final = 1 << 16

_Change = Callable[[int, int], bytes | None]
"""Returns what takes the place of a field, given where its content is; None to leave it."""


def point_into_file(path: Path) -> bytes | None:
    """Returns an ONNX file without its large tensors of bytes, which it names as data in the file.

    A runtime that is given this maps them from the file in place of keeping copies: of a table of
    words only the rows that are looked up are read. Bytes may stand anywhere; numbers of more than
    one would have to stand at a multiple of their size, which they don't in such a file.

    Args:
        path: A whole file that `outline_onnx` has read, with no data in other files. The result
            names it without its folder.

    Returns:
        None where the file has no such tensors.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graphs = _find(content, 0, len(content), _GRAPH)
        tensors = [one for graph in graphs for one in _find(content, *graph, _INITIALIZER)]
        if not any(_find_bytes(content, *tensor) for tensor in tensors):
            return None

        def point(start: int, end: int) -> bytes | None:
            data = _find_bytes(content, start, end)
            if data is None:
                return None
            rest = _copy(content, start, end, _RAW_DATA, lambda *_: b"")
            begin, stop = data
            place = {"location": path.name, "offset": str(begin), "length": str(stop - begin)}
            for key, value in place.items():
                rest += pack(_EXTERNAL_DATA, pack(1, key.encode()) + pack(2, value.encode()))
            return pack(_INITIALIZER, rest + pack(_DATA_LOCATION, _EXTERNAL))

        def rewrite(start: int, end: int) -> bytes:
            return pack(_GRAPH, _copy(content, start, end, _INITIALIZER, point))

        return _copy(content, 0, len(content), _GRAPH, rewrite)


def _find(content: mmap.mmap, start: int, end: int, wanted: int) -> list[tuple[int, int]]:
    """Returns where a message's fields of a number begin and end."""
    fields = read_fields(content, start, end)
    return [
        (value, stop) for number, kind, value, stop in fields if (number, kind) == (wanted, BYTES)
    ]


def _find_bytes(content: mmap.mmap, start: int, end: int) -> tuple[int, int] | None:
    """Returns where a tensor's data are, if they are bytes and many."""
    types = [
        value for number, _, value, _ in read_fields(content, start, end) if number == _DATA_TYPE
    ]
    data = _find(content, start, end, _RAW_DATA)
    is_large = len(data) == 1 and data[0][1] - data[0][0] >= _LARGE
    return data[0] if is_large and types[-1:] and types[-1] in _BYTE_TYPES else None


def _copy(content: mmap.mmap, start: int, end: int, wanted: int, change: _Change) -> bytes:
    """Copies a message, its fields of a number changed."""
    parts, begin = [], start
    for number, kind, value, stop in read_fields(content, start, end):
        changed = change(value, stop) if (number, kind) == (wanted, BYTES) else None
        parts.append(content[begin:stop] if changed is None else changed)
        begin = stop
    return b"".join(parts)
