"""Ctrl-C that waits for the end of a step, so that what is saved is whole."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeAlias

_Handlers: TypeAlias = Mapping[int, Callable[[int, FrameType | None], object] | int | None]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Whether somebody has asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def defer_interrupts() -> Iterator[Interrupt]:
    """Turns the first SIGINT or SIGTERM into a request; a second one interrupts at once.

    A request that came too late for the body to act on it, such as after its last step, interrupts
    when the body has ended.

    Signals can be received in the main thread alone; in another thread the request never comes
    and the caller's own way of stopping holds.

    Raises:
        KeyboardInterrupt: If the body ended by itself and a stop had been requested.
    """
    interrupt = Interrupt()
    kept = _read_handlers()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    _set_handlers(dict.fromkeys(_SIGNALS, handle))
    try:
        yield interrupt
    finally:
        _set_handlers(kept)
    if interrupt.requested:
        raise KeyboardInterrupt


class SignalTurns:
    """Keeps apart whose signals come to a generator and to the one who asks it for values.

    A generator that is suspended inside `defer_interrupts` would hold the signals while its caller
    is at work, who then could not be stopped by Ctrl-C.
    """

    def __init__(self) -> None:
        self._theirs: _Handlers = {}

    @contextmanager
    def give(self) -> Iterator[None]:
        """Gives the signals to the generator, and afterwards to the caller again."""
        mine = _read_handlers()
        _set_handlers(self._theirs)
        try:
            yield
        finally:
            self._theirs = _read_handlers()
            _set_handlers(mine)


def _read_handlers() -> _Handlers:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_handlers(handlers: _Handlers) -> None:
    """Sets the handlers; in other threads than the main one, where none can be, does nothing."""
    with suppress(ValueError):
        for number, handler in handlers.items():
            if handler is not None:  # None is one that no Python code has set, or can
                signal.signal(number, handler)
