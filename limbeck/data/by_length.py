"""Batches of items of about the same length, so that little of what is computed is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yields the places of all items once, in batches of neighbours in length.

    The longest come first: what does not fit into memory then fails at once, not at the end, and
    no later batch needs more than the first.

    Args:
        lengths: Each item's length.
        batch_size: Items in a batch; the last one may have fewer.

    Example:
        >>> list(batches_by_length([3, 9, 3, 5, 7], 2))
        [[1, 4], [3, 0], [2]]
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
