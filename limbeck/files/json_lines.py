r"""Files with one JSON object a line, the lines ending in \n and nothing else.

`str.splitlines` would also cut at U+2028 and other characters that JSON lets stand in a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError, shorten
from limbeck.files.atomic import replace_file
from limbeck.files.json_objects import find_not_finite
from limbeck.files.reading import parse_json
from limbeck.system_errors import explain


def write_json_lines(
    path: Path, rows: Iterable[Mapping[str, Any]], *, error: type[LimbeckError] | None
) -> None:
    """Writes objects, one a line, atomically.

    Args:
        path: The file; what is there is replaced.
        rows: The objects.
        error: What is raised where the file can't be written, as for `replace_file`.

    Raises:
        error: If a number in a row is not finite, which JSON has no word for; ValueError where
            `error` is None.
    """
    with (
        replace_file(path, error=error) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        for number, row in enumerate(rows, start=1):
            try:
                line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            except ValueError:
                key, value = next(find_not_finite(row))
                raise (error or ValueError)(
                    f"can't write {path}: line {number}, {key} is {value}; accepted: finite "
                    "numbers, and null for none"
                ) from None
            file.write(line + "\n")


def read_json_lines(
    path: Path, *, error: type[LimbeckError], remedy: str = "", may_be_cut: bool = False
) -> Iterator[dict[str, Any]]:
    """Reads objects, one a line.

    Args:
        path: The file.
        error: What is raised.
        remedy: What helps, for the messages.
        may_be_cut: Leave out a last line that has no end, since the process that wrote it may have
            been killed meanwhile, instead of refusing the file.

    Raises:
        error: If the file can't be read, or a line is not UTF-8 or no object.
    """
    helps = f"; {remedy}" if remedy else ""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if may_be_cut and not line.endswith(b"\n"):
                    return
                yield _parse(line, where=f"{path}, line {number}", helps=helps, error=error)
    except OSError as problem:
        raise error(explain(problem, path=path, writes=False) + helps) from problem


def _parse(line: bytes, *, where: str, helps: str, error: type[LimbeckError]) -> dict[str, Any]:
    """Returns the object of a line."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{where}: not UTF-8 text: {problem.reason}{helps}") from None
    try:
        value = parse_json(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise error(f"{where}: not a JSON object: {shorten(text.strip())}{helps}")
    return value
