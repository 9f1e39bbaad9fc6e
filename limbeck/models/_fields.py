"""Fields of model configurations: what each accepts, in words and as a check."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from limbeck.errors import shorten
from limbeck.nn import ACTIVATIONS

_SHOWN_WHOLE = 10**15


def checked(default: Any, accepted: str, check: Callable[[Any], bool]) -> Any:
    """A field of a kind of its own: what is accepted in words, and whether a value is."""
    return field(default=default, metadata={"accepted": accepted, "check": check})


def show(value: object) -> str:
    """Returns a value for a message: not more of it than a line holds."""
    if isinstance(value, int) and abs(value) >= _SHOWN_WHOLE:
        return count(value)
    return shorten(value)


def count(number: int) -> str:
    """Returns a number in words; Python writes out none of more than 4,300 digits."""
    if abs(number) < _SHOWN_WHOLE:
        return f"{number:,}"
    return f"10^{number.bit_length() * math.log10(2):.0f}"


def is_int(value: Any, least: int) -> bool:
    """Tells whether a value is a whole number, and not less than another."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Tells whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def size(default: int | None, *, least: int = 1, optional: bool = False) -> Any:
    """A field that counts something of which there is at least one."""
    metadata = {
        "accepted": f"a whole number from {least}" + (", or null" if optional else ""),
        "check": lambda value: (optional and value is None) or is_int(value, least),
        "is_size": True,
    }
    return field(default=default, metadata=metadata)


def rate(default: float | None, *, optional: bool = False) -> Any:
    """A dropout probability."""
    accepted = "a number from 0 to 1" + (", or null" if optional else "")
    return checked(
        default, accepted, lambda v: (optional and v is None) or (is_number(v) and 0 <= v <= 1)
    )


def token_id(default: int | None, *, optional: bool = True) -> Any:
    """A token's number in the vocabulary, or None where there may be no such token."""
    accepted = "a whole number from 0" + (", or null" if optional else "")
    return checked(default, accepted, lambda v: (optional and v is None) or is_int(v, 0))


def positive(default: float) -> Any:
    """A finite number above 0."""
    accepted = "a finite number above 0"
    return checked(default, accepted, lambda v: is_number(v) and 0 < v < math.inf)


def flag(*, default: bool) -> Any:
    """A yes or no."""
    return checked(default, "true or false", lambda v: isinstance(v, bool))


def one_of(default: str, accepted: Sequence[str]) -> Any:
    """One of some words."""
    return checked(default, "one of " + ", ".join(accepted), lambda v: v in accepted)


def activation(default: str) -> Any:
    """The name of an activation."""
    accepted = "one of " + ", ".join(ACTIVATIONS)
    return checked(default, accepted, lambda v: isinstance(v, str) and v in ACTIVATIONS)
