"""Files that are there whole or not at all, and JSON objects in them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from limbeck.errors import CheckpointError


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a temporary file beside `path` to write; puts it in its place when the block ends well.

    Whoever reads `path` sees the old file or the new one, never a part. If the block raises, the
    temporary file goes and `path` stays as it was.

    Raises:
        CheckpointError: If the file can't be written, such as on a full disk.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        raise CheckpointError(f"can't write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):  # in its place already, or never there
            temporary.unlink()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes an object as indented JSON, atomically.

    Raises:
        CheckpointError: If the file can't be written.
    """
    with replace_file(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        CheckpointError: If the file is absent, is not UTF-8 or JSON, or holds something else than
            an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        inside = sorted(path.parent.glob(f"*/{path.name}"))  # a run folder holds a model folder
        hint = f" Did you mean '{inside[0].parent}'?" if inside else ""
        raise CheckpointError(
            f"{path.parent} has no {path.name}; it holds: {', '.join(there[:12]) or 'nothing'}."
            + hint
        ) from None
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text: byte {error.start} is wrong.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path} holds a JSON {type(value).__name__}; accepted: an object, {{...}}."
        )
    return value


def _flush_to_disk(path: Path) -> None:
    """Makes a file's content, or a folder's list of names, survive a power cut."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
