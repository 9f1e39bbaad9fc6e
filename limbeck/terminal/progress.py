"""Progress as people see it: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from limbeck.printable import printable

if TYPE_CHECKING:
    from limbeck.train.progress import Progress

Clock = Callable[[], float]

_WINDOW_SECONDS = 60.0
_LINE_EVERY_SECONDS = 10.0
_FEWEST_SAMPLES, _FEWEST_SECONDS = 5, 5.0
"""Reports, or their seconds, before a guess of the time left."""
_AT_ONCE = 0.5
"""Seconds after its beginning in which a stage says what was done before."""
_LEFT_OUT = (3, 5)
"""At which reports one of the first is left out of the rate: the first steps take many times as
long as those after them."""


def open_progress(*, quiet: bool = False) -> Progress:
    """Returns a bar if stderr is a terminal, lines if it is not."""
    if quiet:
        return PlainProgress(every_seconds=float("inf"), announce=False)
    return BarProgress() if sys.stderr.isatty() else PlainProgress()


class Meter:
    """How far a stage has come and how fast it goes.

    The rate is that of the last minute, and does not count the first report: a resumed run says at
    once how much was done before. Nor does it count the first steps, once there are others.

    Args:
        total: Units in all, None if not known.
        unit: What is counted; `s` for a stage that a time bounds, whose work done is seconds, `%`
            for one that tells only the share that is done, nothing for one of which nothing is
            counted.
        clock: Gives the time in seconds.
    """

    def __init__(self, total: float | None, unit: str, *, clock: Clock = time.monotonic) -> None:
        self.total = total
        self.counts = unit != ""
        self._is_time = unit == "s"
        self._is_share = unit == "%"
        self._scale, self._units = 1.0, unit if self._is_share else f"{unit.removesuffix('s')}s"
        if self._units == "bytes":
            is_small = total is not None and total < 1e6
            self._scale, self._units = (1e3, "kB") if is_small else (1e6, "MB")
        self.done = 0.0
        self.share: float | None = None
        self.fields: dict[str, str | float] = {}
        self._clock = clock
        self._started = clock()
        self._samples: deque[tuple[float, float]] = deque()
        self._num_reports = 0

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._started

    def extent(self) -> tuple[float | None, float]:
        """Returns how long a bar is, None if nobody knows, and how much of it is filled."""
        return (self.total, self.done) if self.share is None else (1.0, self.share)

    def advance(self, amount: float) -> None:
        """Adds work done."""
        self.done += amount
        now = self._clock()
        self._samples.append((now, self.done))
        self._num_reports += 1
        if self._num_reports in _LEFT_OUT:
            self._samples.popleft()
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW_SECONDS:
            self._samples.popleft()

    def rate(self) -> float | None:
        """Returns units per second, None if not known yet."""
        if len(self._samples) < 2:
            return None
        (first_time, first_done), (last_time, last_done) = self._samples[0], self._samples[-1]
        seconds = last_time - first_time
        return (last_done - first_done) / seconds if seconds > 0 else None

    def describe(self) -> str:
        """Says all of it in one line: `120/1,000 steps, 3.1 steps/s, 4:44 left, loss 1.5`.

        Where the units in all aren't known, but the share that is done, it has a place of its own:
        `120 rows, 12 %, 3.1 rows/s, 4:44 left`.

        A stage bounded by time has no rate: `5:37/62:00, 56:23 left, loss 1.5`. What is left is the
        stage's own time, without pauses such as evaluations.
        """
        amount = [self.amount(of_total=True)] if self.counts else []
        share = [] if self.share is None else [f"{100 * self.share:.0f} %"]
        return ", ".join([*amount, *share, *self._outlook(), *self._figures()])

    def _outlook(self) -> Iterator[str]:
        """Yields the rate and the time left, as far as they are known, and there is any left.

        After the last unit there may be more to do, such as an evaluation; nothing is known of it.
        """
        left = self._left()
        if self._is_time:
            if left is not None:
                yield f"{_minutes(left)} left"
            return
        rate = self.rate()
        if rate:
            if not self._is_share:
                yield f"{_number(rate / self._scale)} {self._units}/s"
            if left is not None and self._is_settled():
                yield f"{format_seconds(left / rate)} left"

    def _left(self) -> float | None:
        """Returns the units that are left, None if none are or their number is not known."""
        total = self.total
        if total is None and self.share:
            total = self.done / self.share
        return None if total is None or self.done >= total else total - self.done

    def _is_settled(self) -> bool:
        """Tells whether enough was seen to guess from."""
        (begun, before), (now, done) = self._samples[0], self._samples[-1]
        if self._num_reports == 2 and begun - self._started < _AT_ONCE and done - before <= 1:
            return False  # the very first step
        return self._num_reports >= _FEWEST_SAMPLES or now - begun >= _FEWEST_SECONDS

    def summarise(self) -> str:
        """Says what was done in which time: `1,000 steps in 5:22, loss 1.4`."""
        took = self.amount(of_total=False) if self.counts else "done"
        if not self._is_time:
            took += f" in {format_seconds(self.elapsed_seconds)}"
        return ", ".join([took, *self._figures()])

    def amount(self, *, of_total: bool) -> str:
        """Says how much is done."""
        if self._is_time:
            words = _minutes(self.done)
            return f"{words}/{_minutes(self.total)}" if of_total and self.total else words
        is_scaled = self._scale != 1
        words = f"{self.done / self._scale:,.{1 if is_scaled else 0}f}"
        if of_total and self.total is not None and not self._is_share:
            words += f"/{self.total / self._scale:,.{1 if is_scaled else 0}f}"
        return f"{words} {self._units}"

    def _figures(self) -> list[str]:
        """Returns the figures; not the number that is shown as what is done anyway."""
        return [
            f"{name.replace('_', ' ')} {_number(value)}"
            for name, value in self.fields.items()
            if f"{name}s" != self._units
        ]


def format_seconds(seconds: float) -> str:
    """Writes a duration.

    Example:
        >>> format_seconds(3.21), format_seconds(125), format_seconds(7325)
        ('3.2 s', '2:05', '2:02:05')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _minutes(seconds: float) -> str:
    """Writes minutes and seconds, past an hour too, so that what is done and the total line up."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,}:{rest:02}"


def _number(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class PlainProgress:
    """Writes a line now and then while a stage runs, and when it ends.

    One of which nothing is counted has its line when it begins: it may be silent for long.

    Args:
        every_seconds: Time between two lines of one stage.
        announce: Whether to write anything.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        *,
        every_seconds: float = _LINE_EVERY_SECONDS,
        announce: bool = True,
        clock: Clock = time.monotonic,
    ) -> None:
        self._every_seconds, self._announce, self._clock = every_seconds, announce, clock

    @contextmanager
    def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[_PlainStage]:
        """Opens a stage."""
        meter = Meter(total, unit, clock=self._clock)
        stage = _PlainStage(self, description, meter, every_seconds=self._every_seconds)
        if not meter.counts:
            self.log(description)
        yield stage
        if meter.counts:
            self.log(f"{description}: {meter.summarise()}")

    def log(self, message: str) -> None:
        """Writes one line."""
        if not self._announce:
            return
        sys.stderr.write(f"{printable(message)}\n")
        sys.stderr.flush()


class _PlainStage:
    def __init__(
        self, owner: PlainProgress, description: str, meter: Meter, *, every_seconds: float
    ) -> None:
        self._owner, self._description, self._meter = owner, description, meter
        self._every_seconds = every_seconds
        self._next = every_seconds

    def advance(self, amount: float = 1) -> None:
        """Adds work done; writes a line if it is time."""
        self._meter.advance(amount)
        if self._meter.elapsed_seconds >= self._next:
            self._next = self._meter.elapsed_seconds + self._every_seconds
            self._owner.log(f"{self._description}: {self._meter.describe()}")

    def reach(self, share: float) -> None:
        """Sets the share that the next line shows."""
        self._meter.share = share

    def update(self, **fields: str | float) -> None:
        """Sets figures that the next line shows."""
        self._meter.fields.update(fields)


class BarProgress:
    """Draws a bar for each running stage at the bottom of the terminal, a line for each ended."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=5,
        )
        self._num_open = 0

    @contextmanager
    def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[_BarStage]:
        """Opens a stage."""
        if self._num_open == 0:
            self._bars.start()
        self._num_open += 1
        meter = Meter(total, unit)
        number = self._bars.add_task(printable(description), total=total, words="")
        try:
            yield _BarStage(self._bars, number, meter)
            self.log(f"{description}: {meter.summarise()}")
        finally:
            self._bars.remove_task(number)
            self._num_open -= 1
            if self._num_open == 0:
                self._bars.stop()

    def log(self, message: str) -> None:
        """Writes one line above the bars."""
        self._console.print(printable(message), markup=False)


class _BarStage:
    def __init__(self, bars: Any, number: Any, meter: Meter) -> None:
        self._bars, self._number, self._meter = bars, number, meter

    def advance(self, amount: float = 1) -> None:
        """Adds work done."""
        self._meter.advance(amount)
        self._draw()

    def reach(self, share: float) -> None:
        """Sets the share that is done."""
        self._meter.share = share
        self._draw()

    def update(self, **fields: str | float) -> None:
        """Sets figures shown beside the bar."""
        self._meter.fields.update(fields)
        self._draw()

    def _draw(self) -> None:
        total, done = self._meter.extent()
        words = self._meter.describe()
        self._bars.update(self._number, total=total, completed=done, words=words)
