"""When a run is saved: often enough that a kill loses little, seldom enough to cost little."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHARE_OF_TIME = 0.03
"""What saving may take of a run's time; with a checkpoint that takes a second, a kill loses half a
minute."""
_SECONDS_BETWEEN = 30.0
"""A checkpoint that costs next to nothing is still written no oftener, but after a measurement."""


class SaveTimes:
    """Decides after which steps a run is saved.

    Without `every`, a run is saved after each measurement and every half minute, as long as saving
    takes no more than a few percent of its time: after a checkpoint that took one second to write,
    the next is due in half a minute at the earliest. What the first one takes nobody knows before.

    Args:
        every: Save after so many steps in place of that, whatever it costs.
        clock: Tells the seconds.
    """

    def __init__(self, *, every: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._saved_at = clock()
        self._seconds_needed = 0.0

    def is_due(self, step: int, *, measured: bool) -> bool:
        """Returns whether the run is to be saved after a step.

        Args:
            step: Steps made.
            measured: Whether the step was followed by a measurement, which is lost with it.
        """
        if self._every is not None:
            return step % self._every == 0
        affordable = self._seconds_needed / _SHARE_OF_TIME
        wait = affordable if measured else max(affordable, _SECONDS_BETWEEN)
        return self._clock() - self._saved_at >= wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Takes the time that saving needs."""
        begun = self._clock()
        yield
        self._saved_at = self._clock()
        self._seconds_needed = self._saved_at - begun
