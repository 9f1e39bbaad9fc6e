"""One owner a folder: whoever writes there holds a lock, which the system drops when it ends.

The lock is the system's own on an open file (`flock`, or its like on Windows), so that nothing has
to be cleared up after a kill, and no process that happens to get a dead one's number is taken for
the owner. Over NFS it holds between machines as far as the server passes locks on.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from filelock import FileLock, Timeout

from limbeck.errors import DataError, FolderInUseError, LimbeckError
from limbeck.files.atomic import remove_leftovers
from limbeck.files.typed import TypedFile
from limbeck.system_errors import explain

LOCK_FILE = ".lock"
_HERE = socket.gethostname()


class OwnerRecord(TypedFile):
    """Who works in a folder; says something only while the lock beside it is held."""

    FILE_NAME: ClassVar[str] = ".owner.json"
    REMEDY: ClassVar[str] = "remove it"

    work: str
    """What is done there, such as `limbeck distill`."""
    process: int
    """Number of the process."""
    host: str
    """Name of its machine."""
    since: str
    """When it began, UTC."""

    @property
    def is_here(self) -> bool:
        """Whether it is this very process."""
        return (self.process, self.host) == (os.getpid(), _HERE)

    def __str__(self) -> str:
        return f"{self.work}, process {self.process} on {self.host}, since {self.since}"


@dataclass
class _Held:
    """A lock that a thread holds, and how many blocks of it rely on that."""

    lock: FileLock
    holder: tuple[int, int]
    num_blocks: int = 0


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


@contextmanager
def own_folder(
    folder: Path, *, work: str, error: type[LimbeckError] | None = DataError
) -> Iterator[None]:
    """Makes a folder the caller's own while the block runs, and clears what a killed owner left.

    Blocks of one thread may be nested.

    Args:
        folder: The folder; made if it does not exist.
        work: What is done there, for whoever comes meanwhile.
        error: What is raised where the folder can't be written, as for `replace_file`.

    Raises:
        FolderInUseError: If somebody else works there: another process, or another thread.
    """
    place = folder.resolve()
    with _guard:
        held = _held.get(place)
        if held is None or held.holder != _current_thread():
            held = _held[place] = _Held(_take(folder, work, error), _current_thread())
        held.num_blocks += 1
    try:
        yield
    finally:
        with _guard:
            held.num_blocks -= 1
            if not held.num_blocks:
                del _held[place]
                with suppress(OSError):  # somebody has removed the folder, or can't write any more
                    (folder / OwnerRecord.FILE_NAME).unlink()
                held.lock.release()


def is_owned(folder: Path) -> bool:
    """Tells whether a folder has been somebody's own, who keeps it tidy."""
    return (folder / LOCK_FILE).exists()


def remove_if_bare(folder: Path) -> None:
    """Removes a folder that the caller owns, if nothing but its being owned is in it."""
    own = {LOCK_FILE, OwnerRecord.FILE_NAME}
    if folder.is_dir() and {entry.name for entry in folder.iterdir()} <= own:
        shutil.rmtree(folder, ignore_errors=True)


def _current_thread() -> tuple[int, int]:
    """Returns what no other thread has, nor the same one in a process that was forked off."""
    return os.getpid(), threading.get_ident()


def _take(folder: Path, work: str, error: type[LimbeckError] | None) -> FileLock:
    # Released in whichever thread ends the block, as for a generator that is closed elsewhere.
    lock = FileLock(folder / LOCK_FILE, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUseError(_describe_use(folder)) from None
    except OSError as problem:
        if error is None:
            raise
        raise error(explain(problem, path=folder, writes=True)) from problem
    try:
        remove_leftovers(folder, belongs_to_others=is_owned)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        OwnerRecord(work=work, process=os.getpid(), host=_HERE, since=now).write(
            folder, error=error
        )
    except BaseException:
        lock.release()
        raise
    return lock


def _describe_use(folder: Path) -> str:
    try:
        owner = OwnerRecord.read(folder)
    except DataError:  # it is just being written
        return f"{folder} is in use by another process; wait for its end, or give another out=..."
    if owner.is_here:
        return (
            f"{folder} is in use by this very process ({owner}); let that end first, with close() "
            "where its steps are taken one by one, or give another out=..."
        )
    stop = f"stop it (kill {owner.process})" if owner.host == _HERE else f"stop it on {owner.host}"
    return f"{folder} is in use ({owner}); wait for its end, {stop}, or give another out=..."
