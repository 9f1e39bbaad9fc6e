"""Small files read whole: real files, of a size that memory holds, in UTF-8; JSON within bounds."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Literal

from limbeck import limits
from limbeck.errors import LimbeckError
from limbeck.system_errors import raised_as

# Neither waits for somebody to write into a pipe, nor translates line ends on Windows.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_text(
    path: Path,
    *,
    error: type[LimbeckError],
    undecodable: Literal["strict", "replace"] = "strict",
) -> str:
    """Reads a UTF-8 file, its lines' ends as they are.

    Args:
        path: The file.
        error: What is raised.
        undecodable: `replace` puts U+FFFD for bytes that are not UTF-8 instead of refusing them.

    Raises:
        error: If there is no such file, it can't be read, is a pipe or a device, is larger than
            `limits.FILE_BYTES`, or is not UTF-8.
    """
    content = _read_bytes(path, error=error)
    try:
        return content.decode("utf-8", undecodable)
    except UnicodeDecodeError as problem:
        raise error(
            f"{path} is not UTF-8 text: byte {problem.start} is wrong; the file is damaged or of "
            "another kind, so copy it again from where it came"
        ) from None


def _read_bytes(path: Path, *, error: type[LimbeckError]) -> bytes:
    with raised_as(error, path, writes=False):
        descriptor = os.open(path, _OPEN_FLAGS)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - opened above
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
                raise error(f"can't read {path}: that is {kind}; accepted: a file")
            # Files of some systems have no size until they are read.
            content = file.read(limits.FILE_BYTES.value + 1)
    if len(content) > limits.FILE_BYTES.value:
        size = max(status.st_size, len(content))
        raise error(f"{path} has {size:,} bytes; accepted: {limits.FILE_BYTES.describe()}")
    return content


def parse_json(text: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: If it is not JSON, a number is longer than Python reads, or brackets stand
            deeper than `limits.DEPTH`; `json.JSONDecodeError` where it has a place.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise ValueError(f"a number has more than {digits} digits") from None
    depth = limits.DEPTH.value
    if text.count("[") + text.count("{") > depth and _is_deeper(value, depth):
        raise ValueError(_too_deep())
    return value


def _too_deep() -> str:
    return f"brackets stand too deep in each other; accepted: {limits.DEPTH.describe()}"


def _is_deeper(value: object, depth: int) -> bool:
    """Tells whether lists and objects are nested deeper than that."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(inner, list | dict) for inner in level)
