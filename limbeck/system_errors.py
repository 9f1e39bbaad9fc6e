"""What the operating system refuses, each in one line: what, where, why, and what helps."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from limbeck.errors import LimbeckError, MachineError


class _Cause(NamedTuple):
    why: str
    to_read: str
    to_write: str


_ELSEWHERE = "give a folder that you may write to"
_CAUSES: Final = {
    errno.ENOSPC: _Cause(
        "no space is left on its disk", "free some", "free some, or give a folder on another disk"
    ),
    errno.EFBIG: _Cause(
        "it gets larger than its disk or a limit allows",
        "take a smaller one",
        "give a folder on another disk, or raise the limit (ulimit -f)",
    ),
    errno.EDQUOT: _Cause(
        "your share of its disk is used up", "free some", "free some, or give a folder elsewhere"
    ),
    errno.EACCES: _Cause(
        "no permission", "have its owner let you read it (chmod a+r), or take a copy", _ELSEWHERE
    ),
    errno.EPERM: _Cause("not permitted", "take a copy of your own", _ELSEWHERE),
    errno.EROFS: _Cause("its disk can only be read", "take a copy elsewhere", _ELSEWHERE),
    errno.ENOENT: _Cause("there is no such file", "check its name", "check its name"),
    errno.ENAMETOOLONG: _Cause(
        "its name is too long for the disk", "give a shorter one", "give a shorter one"
    ),
    errno.ENOTDIR: _Cause(
        "a part of its path is a file, not a folder", "check the path", "give another path"
    ),
    errno.EEXIST: _Cause("that exists already", "give another name", "give another name"),
    errno.EISDIR: _Cause("that is a folder, not a file", "give a file", "give another name"),
    errno.ELOOP: _Cause("its links lead in a circle", "give the file itself", _ELSEWHERE),
    errno.EMFILE: _Cause(
        "too many files are open",
        "allow more, as with: ulimit -n 4096",
        "allow more, as with: ulimit -n 4096",
    ),
    errno.ENFILE: _Cause(
        "too many files are open on this machine", "end other programs", "end other programs"
    ),
    errno.ENOMEM: _Cause("memory is short", "end other programs", "end other programs"),
    errno.EIO: _Cause(
        "its device fails", "check the disk, or take a copy", "check the disk, or give another"
    ),
    errno.ESTALE: _Cause(
        "the file server has let go of it", "try again", "try again, or give a folder elsewhere"
    ),
}
_BY_CLASS: Final = {  # which libraries raise without the number
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
}
_ONLY_IN_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EEXIST)
_OF_OTHER_LIBRARIES = re.compile(r"(?:os error |[Ee]rrno |Error code )(\d+)")


def find_errno(error: BaseException) -> int | None:
    """Returns the system's number of an error, also of one that another library put in words.

    Example:
        >>> find_errno(OSError(28, "No space left on device"))
        28
        >>> find_errno(RuntimeError("I/O error: No space left on device (os error 28)"))
        28
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if found := _OF_OTHER_LIBRARIES.search(str(error)):
        return int(found[1])
    return next((number for kind, number in _BY_CLASS.items() if isinstance(error, kind)), None)


def explain(
    error: BaseException, *, path: str | os.PathLike[str] | None = None, writes: bool | None = None
) -> str:
    """Says in one line what the system refused.

    Args:
        error: Of the system, or of a library that passes it on.
        path: The file or folder; that of the error if it names one and this is not given.
        writes: Whether it was to be written; by default what the error and the path tell.

    Example:
        >>> explain(OSError(28, "No space left on device"), path="out/model.safetensors")
        "can't write out/model.safetensors: no space is left on its disk; free some, or give a \
folder on another disk"
    """
    named = getattr(error, "filename", None)
    if path is None and isinstance(named, str | bytes):
        path = os.fsdecode(named)
    number = find_errno(error)
    verb = "open" if writes is None else "write" if writes else "read"
    if writes is None and number in _ONLY_IN_WRITING:
        verb, writes = "write", True
    elif writes is None and path is not None and os.path.lexists(path):
        verb, writes = "read", False
    start = f"can't {verb} {path}: " if path is not None else ""
    cause = _CAUSES.get(number) if number is not None else None
    if cause is None:
        reason = (isinstance(error, OSError) and error.strerror) or error
        return f"{start}{' '.join(str(reason).split()) or type(error).__name__}"
    where = _find_obstacle(Path(path), number) if path is not None else ""
    return f"{start}{cause.why}{where}; {cause.to_read if writes is False else cause.to_write}"


def _find_obstacle(path: Path, number: int | None) -> str:
    """Names the folder on the way that is in the way, if it is not the path itself."""
    for parent in path.parents:
        if number == errno.ENOTDIR and os.path.isfile(parent):  # noqa: PTH113 - raises nothing
            return f": {parent}"
        if number == errno.EACCES and os.path.isdir(parent):  # noqa: PTH112
            return "" if os.access(parent, os.W_OK | os.X_OK) else f" in {parent}"
    return ""


@contextmanager
def raised_as(
    kind: type[LimbeckError], path: str | os.PathLike[str], *, writes: bool
) -> Iterator[None]:
    """Raises what the system refuses within the block as an error of our own, in one line.

    Args:
        kind: Its class.
        path: What is read or written.
        writes: Which of the two.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, LimbeckError):
            raise
        raise kind(explain(error, path=path, writes=writes)) from error
    except MemoryError as error:
        verb = "write" if writes else "read"
        raise kind(f"can't {verb} {path}: memory is short; end other programs") from error


@contextmanager
def machine_errors() -> Iterator[None]:
    """Raises as `MachineError` what the system refuses and no one below has put in words.

    A pipe whose reader has gone is left alone: that is the caller's business.

    Raises:
        MachineError: For a file or folder that can't be read or written, and for memory that is
            short, on a GPU too.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, LimbeckError | BrokenPipeError):
            raise
        raise MachineError(explain(error)) from error
    except MemoryError as error:
        raise MachineError(_OUT_OF_MEMORY.format(asked=_said(error))) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise MachineError(_OUT_OF_MEMORY.format(asked=_said(error))) from error


_OUT_OF_MEMORY = (
    "memory is short{asked}; take a smaller batch_size (accumulate keeps the step's size), shorter "
    "inputs or a smaller model, or end other programs"
)
_ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error, also one of torch's, is for want of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in str(error) or "out of memory" in str(error)
    )


def _said(error: BaseException) -> str:
    found = _ASKED.search(str(error))
    return f": {found[1]} more could not be had" if found else ""
