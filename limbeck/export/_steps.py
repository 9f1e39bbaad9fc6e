"""What an export is at, told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]

# In the context, since what takes long is called by a target that knows nothing of who watches.
_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)


def begin_step(words: str) -> None:
    """Says what is begun, such as `tracing`; what was begun before is done then."""
    tell = _tell.get()
    if tell is not None:
        tell(words)


@contextmanager
def steps_told_to(tell: Tell) -> Iterator[None]:
    """Has the steps within the block told to a function."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)
