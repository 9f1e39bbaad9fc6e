"""Batches of items of about the same length, so that little of what is computed is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

# Items are sorted by length within this many batches of a shuffled epoch, so that little is padded.
_BATCHES_SORTED_TOGETHER = 50
# But within one part of this many of an epoch at most: sorted as a whole, a small set gives the
# same few batches, each of one length, in every epoch, which costs accuracy where length and label
# have to do with each other. A set of fewer than twice as many batches is only shuffled.
_PARTS_SORTED_APART = 32


def shuffled_by_length(
    lengths: npt.NDArray[np.int64],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    parts: int = _PARTS_SORTED_APART,
) -> list[npt.NDArray[np.int64]]:
    """Returns the places of all items once, in batches of about the same length in random order.

    It is a function of its arguments alone, so that a resumed run goes on exactly.

    Args:
        lengths: Each item's length.
        batch_size: Items in a batch; one of them may have fewer.
        seed: Decides the order.
        epoch: Likewise.
        parts: Fewest parts of an epoch that are sorted each by itself.

    Shape:
        lengths: (items,).
    """
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(lengths))
    num_batches = -(-len(lengths) // batch_size)
    together = min(_BATCHES_SORTED_TOGETHER, num_batches // parts)
    group_size, batches = batch_size * max(together, 1), []
    for first in range(0, len(shuffled), group_size):
        group = shuffled[first : first + group_size]
        group = group[np.argsort(-lengths[group], kind="stable")]
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


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
