"""Keeps back what C++ runtimes write to standard error while they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Sends standard error nowhere, of C++ too; for a call that is short and raises what it meets.

    Runtimes tell which kernels they have and which files of the system they looked for, and have no
    setting for it.
    """
    try:
        kept = os.dup(2)
    except OSError:  # a service without standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
