"""Ctrl-C that waits for the end of a step, so that what is saved is whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
    kept = {}

    def handle(_number: int, _frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            kept[number] = signal.signal(number, handle)
    except ValueError:  # not in the main thread
        pass
    try:
        yield interrupt
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if interrupt.requested:
        raise KeyboardInterrupt
