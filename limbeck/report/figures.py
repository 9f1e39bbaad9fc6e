"""Figures as text: points, sizes, times, and what stands where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from limbeck.inference.speed import Quartiles
from limbeck.report.statistics import Interval

Known = TypeVar("Known")

MINUS = "−"
NONE = "–"
"""Stands where there is no figure."""
NONE_DIFFERS = "no example differs"
"""Stands for the interval of two models of which no example tells a difference."""


def points(value: float, *, signed: bool = False) -> str:
    """Returns a share in points, one decimal.

    Example:
        >>> points(0.8342), points(-0.0061, signed=True), points(0.004, signed=True)
        ('83.4', '−0.6', '+0.4')
    """
    rounded = round(100 * value, 1) + 0.0  # no negative zero
    text = f"{rounded:+.1f}" if signed and rounded else f"{rounded:.1f}"
    return text.replace("-", MINUS)


def percent(share: float) -> str:
    """Returns a share in per cent, one decimal."""
    return f"{points(share)} %"


def share(value: Interval) -> str:
    """Returns a share with its interval, such as `97.3 % (96.1 to 99.4)`."""
    return f"{percent(value.estimate)} ({interval(value)})"


def or_none(value: Known | None, say: Callable[[Known], str]) -> str:
    """Returns what is to be said of a value, or a dash where there is none.

    Example:
        >>> or_none(0.5, percent), or_none(None, percent)
        ('50.0 %', '–')
    """
    return NONE if value is None else say(value)


def interval(value: Interval, *, signed: bool = False) -> str:
    """Returns the ends of an interval in points, such as `96.1 to 99.4`.

    Args:
        value: Of a ratio, or if signed of a difference.
        signed: Whether ends have their sign.

    Example:
        >>> interval(Interval(estimate=1, low=1, high=1))
        'no example differs'
    """
    if value.is_all(0 if signed else 1):
        return NONE_DIFFERS
    return f"{points(value.low, signed=signed)} to {points(value.high, signed=signed)}"


def count(value: float) -> str:
    """Returns a whole number with thousands separated.

    Example:
        >>> count(1821)
        '1,821'
    """
    return f"{value:,.0f}"


def number_of(number: int, noun: str) -> str:
    """Formats a number of things.

    Example:
        >>> number_of(1, "thread"), number_of(2, "thread")
        ('1 thread', '2 threads')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def magnitude(value: float) -> str:
    """Returns a large number with three figures and a letter.

    Example:
        >>> magnitude(22_713_216), magnitude(109_482_240), magnitude(3.3e9), magnitude(950)
        ('22.7 M', '109 M', '3.30 G', '950')
    """
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return _three_figures(value / limit) + letter
    return f"{value:.0f}"


def file_size(num_bytes: int) -> str:
    """Returns a size in MB of 10^6 bytes.

    Example:
        >>> file_size(90_868_376), file_size(265_000_000), file_size(21_000)
        ('90.9 MB', '265 MB', '0.02 MB')
    """
    megabytes = num_bytes / 1e6
    return f"{_three_figures(megabytes) if megabytes >= 1 else f'{megabytes:.2f}'} MB"


def duration(seconds: float) -> str:
    """Returns a time in the unit that suits it.

    Example:
        >>> duration(42.3), duration(326), duration(5400)
        ('42 s', '5 min 26 s', '1 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(value: float) -> str:
    """Returns milliseconds with three figures."""
    return f"{_three_figures(value)} ms"


def times(value: Quartiles) -> str:
    """Returns a ratio with its quartiles, such as `1.92× (1.90 to 1.95)`."""
    return f"{value.median:.2f}× ({value.lower:.2f} to {value.upper:.2f})"


def capitalise(text: str) -> str:
    """Returns a text with a capital letter first, but for a name that has its own second.

    Example:
        >>> capitalise("masked LM"), capitalise("nDCG@10")
        ('Masked LM', 'nDCG@10')
    """
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def quoted(label: str) -> str:
    """Returns a label in quotation marks: labels may hold commas and brackets."""
    return f"“{label}”"


def _three_figures(value: float) -> str:
    magnitude = abs(value)
    decimals = 0 if magnitude >= 99.95 else 1 if magnitude >= 9.995 else 2
    return f"{value:,.{decimals}f}"
