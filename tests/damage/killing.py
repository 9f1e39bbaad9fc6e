"""Runs something in a process that is killed at its n-th change of a folder."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def run_in_child(act: Callable[[], Any], folder: Path, *, kill_at: int | None = None) -> int | None:
    """Forks, acts, and kills the child with SIGKILL just before a change.

    Args:
        act: What is done.
        folder: The changes in it count: files that are opened to be written, renamed, removed.
        kill_at: Before which change, from 1; None lets it come to its end.

    Returns:
        How many changes were made, or None if the child was killed.
    """
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        _act_in_child(act, folder, kill_at, send)
    os.close(send)
    with os.fdopen(receive) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    assert os.waitstatus_to_exitcode(status) == 0, text
    return int(text)


def _act_in_child(act: Callable[[], Any], folder: Path, kill_at: int | None, send: int) -> None:
    """Never returns."""
    num_changes = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal num_changes
        if _is_change(event, arguments, folder):
            num_changes += 1
            if num_changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        torch.set_num_threads(1)  # the parent's threads are not in the child
        sys.addaudithook(count)
        act()
        os.write(send, str(num_changes).encode())
        os._exit(0)
    except BaseException:
        os.write(send, traceback.format_exc().encode())
        os._exit(3)


def _is_change(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    if event == "open":
        path, _, flags = arguments
        if not flags & _WRITING:
            return False
    elif event in _CHANGES:
        path = arguments[0]
    else:
        return False
    return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(str(folder))
