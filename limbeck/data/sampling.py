"""A few items that stand for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


def take_evenly(items: Sequence[ItemT], number: int) -> list[ItemT]:
    """Returns the middle of each of `number` equal parts, or all items if there are no more.

    Data often stand in an order, by source, label or length, so that the first ones are no sample.

    Example:
        >>> take_evenly("abcdefghij", 4), take_evenly("abc", 2), take_evenly("ab", 4)
        (['b', 'd', 'g', 'i'], ['a', 'c'], ['a', 'b'])
    """
    number = min(number, len(items))
    return [items[(2 * part + 1) * len(items) // (2 * number)] for part in range(number)]
