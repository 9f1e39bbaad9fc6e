"""Making the next items in the background while one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    item: T


@dataclass(frozen=True)
class _Stopped:
    error: BaseException | None


def prefetch(make: Callable[[int], T], indices: Iterable[int], *, depth: int) -> Iterator[T]:
    """Yields `make(index)` for each index, up to `depth` of them made ahead in a thread.

    An error in `make` is raised here, after the items before it. Closing the iterator ends the
    thread.
    """
    made: queue.Queue[_Made[T] | _Stopped] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def put(value: _Made[T] | _Stopped) -> bool:
        while not closed.is_set():
            try:
                made.put(value, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for index in indices:
                if not put(_Made(make(index))):
                    return
        except BaseException as caught:  # handed over, raised in the caller's thread
            error = caught
        put(_Stopped(error))

    thread = threading.Thread(target=work, name="limbeck-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            value = made.get()
            if isinstance(value, _Stopped):
                if value.error is not None:
                    raise value.error
                return
            yield value.item
    finally:
        closed.set()
        thread.join()
