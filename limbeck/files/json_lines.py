r"""Files with one JSON object a line, the lines ending in \n and nothing else.

`str.splitlines` would also cut at U+2028 and other characters that JSON lets stand in a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.files.atomic import replace_file


def write_json_lines(
    path: Path, rows: Iterable[Mapping[str, Any]], *, error: type[LimbeckError] | None
) -> None:
    """Writes objects, one a line, atomically.

    Args:
        path: The file; what is there is replaced.
        rows: The objects.
        error: What is raised where the file can't be written, as for `replace_file`.
    """
    with (
        replace_file(path, error=error) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_json_lines(
    path: Path, *, error: type[LimbeckError], may_be_cut: bool = False
) -> Iterator[dict[str, Any]]:
    """Reads objects, one a line.

    Args:
        path: The file.
        error: What is raised.
        may_be_cut: End at a line that is no object, since the process that wrote it may have been
            killed meanwhile, instead of refusing the file.

    Raises:
        error: If the file can't be read, is not UTF-8, or a line is no object.
    """
    number = 0
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                value = _parse(line)
                if isinstance(value, dict):
                    yield value
                elif may_be_cut:
                    return
                else:
                    raise error(f"{path}, line {number}: not a JSON object: {line.strip()[:60]!r}")
    except FileNotFoundError:
        raise error(f"there is no file {path}") from None
    except OSError as problem:
        raise error(f"can't read {path}: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}, after line {number}: not UTF-8 text: {problem.reason}") from None


def _parse(line: str) -> object:
    """Returns the value of a line, None if it is not JSON."""
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
