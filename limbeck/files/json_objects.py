"""Files that hold one JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.files.atomic import write_text
from limbeck.files.reading import parse_json, read_text


def write_json(
    path: Path,
    value: Mapping[str, Any],
    *,
    error: type[LimbeckError] | None,
    sort_keys: bool = False,
) -> None:
    """Writes an object as indented JSON, atomically; equal objects give equal bytes.

    Args:
        path: The file; what is there is replaced.
        value: The object.
        error: What is raised where the file can't be written, as for `replace_file`.
        sort_keys: Order keys by name, as `transformers` does, instead of as they are given.

    Raises:
        error: If a number in it is not finite, which JSON has no word for and only some programs
            read; ValueError where `error` is None.
    """
    for key, number in find_not_finite(value):
        raise (error or ValueError)(
            f"can't write {path}: {key} is {number}; accepted: finite numbers, and null for none"
        )
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", error=error)


def read_json(path: Path, *, error: type[LimbeckError], remedy: str = "") -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Args:
        path: The file.
        error: What is raised.
        remedy: What helps, for the messages.

    Raises:
        error: If the file is absent, is not a file in UTF-8 or not JSON, is beyond
            `limits.FILE_BYTES` or `limits.DEPTH`, or holds something else than an object.
    """
    helps = f"; {remedy}" if remedy else "."
    try:
        text = read_text(path, error=error).removeprefix("\ufeff")  # a mark of Windows
    except error as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            raise error(_explain_absence(path, helps)) from None
        if not remedy:
            raise
        raise error(f"{str(problem).rstrip('.')}; {remedy}") from problem.__cause__
    try:
        value = parse_json(text)
    except ValueError as problem:
        raise error(f"{path} is not JSON: {problem}{helps}") from None
    if not isinstance(value, dict):
        found = type(value).__name__
        raise error(f"{path} holds a JSON {found}; accepted: an object, {{...}}{helps}")
    return value


def find_not_finite(value: object, key: str = "") -> Iterator[tuple[str, float]]:
    """Yields the numbers that are NaN or infinite, each by its dotted key."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from find_not_finite(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from find_not_finite(inner, f"{key}[{index}]")


def _explain_absence(path: Path, helps: str) -> str:
    there: list[str] = []
    with suppress(OSError):  # no folder, or one that may not be looked into
        there = sorted(p.name for p in path.parent.iterdir())
    inside = sorted(path.parent.glob(f"*/{path.name}"))  # a run folder holds a model folder
    hint = f". Did you mean '{inside[0].parent}'?" if inside else helps
    return f"{path.parent} has no {path.name}; it holds: {', '.join(there[:12]) or 'nothing'}{hint}"
