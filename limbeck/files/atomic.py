"""Files and folders that are there whole or not at all, whenever the process is stopped."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limbeck.errors import LimbeckError
from limbeck.system_errors import explain

_PARTIAL = ".partial-"
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp|\.partial-.+")
"""Names that are begun here and given up by a kill only."""


@contextmanager
def replace_file(path: Path, *, error: type[LimbeckError] | None) -> Iterator[Path]:
    """Gives a temporary file beside `path` to write; puts it in its place when the block ends well.

    Whoever reads `path` sees the old file or the new one, never a part. If the block raises, the
    temporary file goes and `path` stays as it was.

    Args:
        path: The file; its folder is made if it does not exist.
        error: What is raised where the file can't be written, such as on a full disk; None leaves
            the system's own error to a caller who has more to say.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Safetensors writes for the owner alone; what the umask allows is what it gives a new file.
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as problem:
        if error is None:
            raise
        raise error(explain(problem, path=path, writes=True)) from problem
    finally:
        with suppress(OSError):  # in its place already, or never there
            temporary.unlink()


def write_text(path: Path, text: str, *, error: type[LimbeckError] | None) -> None:
    r"""Writes UTF-8 text atomically, lines ending as they are given on every system.

    What is not Unicode, as in a file's name in Latin-1, stands as `\udce9`, which JSON reads back.

    Raises:
        error: If the file can't be written.
    """
    with replace_file(path, error=error) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Gives an empty folder beside `target` to fill; puts it in its place when the block ends well.

    What an earlier block that was killed has left there goes first.
    """
    partial = partial_path(target)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    for path in (*partial.rglob("*"), partial):
        flush_to_disk(path)
    # Out of the way, and not removed first: whoever is killed meanwhile would leave neither.
    replaced = partial.with_name(f"{partial.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    with suppress(FileNotFoundError):
        target.rename(replaced)
    partial.rename(target)
    flush_to_disk(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def partial_path(target: Path) -> Path:
    """Returns where a file or folder is made ready that has one owner, beside its own place."""
    return target.with_name(f"{_PARTIAL}{target.name}")


def is_leftover(path: Path) -> bool:
    """Tells by the name whether something was begun here, so that it is nobody's work."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, *, belongs_to_others: Callable[[Path], bool]) -> None:
    """Removes what killed processes began and left in a folder and the folders in it.

    Args:
        folder: The folder, in which nobody else is writing.
        belongs_to_others: Tells of a folder in it that it is to be left alone.
    """
    for path in folder.iterdir():
        is_folder = path.is_dir() and not path.is_symlink()
        if is_leftover(path):
            shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)
        elif is_folder and not belongs_to_others(path):
            remove_leftovers(path, belongs_to_others=belongs_to_others)


def flush_to_disk(path: Path) -> None:
    """Makes a file's content, or a folder's list of names, survive a power cut."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    # Windows flushes what may be written only; elsewhere it may be a file that nobody may write.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
