"""How rows of tokens become batches: by what they cost, not by their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Budget:
    """What a batch may cost, and what it costs to run one more.

    Attributes:
        tokens: Most tokens of a batch, padding included: its rows times its longest row. A row that
            is longer is a batch of its own.
        call: What a call of the model costs beside its tokens, in tokens.
    """

    tokens: int
    call: int


# On a CPU with AVX2 a call costs as much as 20 tokens (PyTorch, DistilBERT's shape), 27 (384 wide)
# or 9 (ONNX Runtime, 384 wide, fp32 and int8). From 512 tokens on a token costs the same, to 2 %,
# and from 2,048 on up to 10 % more where the caches no longer hold them.
_CPU = Budget(tokens=1024, call=16)
# An accelerator has thousands of tokens to do before it is busy. Guessed: none was at hand.
_ACCELERATOR = Budget(tokens=16_384, call=256)


def choose_budget(device: str) -> Budget:
    """Returns the budget for a device, such as `cpu` or `cuda:0`."""
    return _CPU if device.lower().startswith("cpu") else _ACCELERATOR


def divide(lengths: Sequence[int], budget: Budget, *, max_rows: int | None) -> Iterator[list[int]]:
    """Yields the places of all rows once, in the batches that cost least together.

    A batch costs its tokens, padding included, and a call. Rows of a batch are neighbours in
    length, and of all ways to cut the sorted rows the cheapest is found, so that little is padded
    where rows differ, and few calls are made where they don't. The longest come first: what does
    not fit into memory then fails at once, and no later batch needs more than the first.

    Args:
        lengths: Each row's length.
        budget: What is spent.
        max_rows: Most rows of a batch; None for as many as the budget allows.

    Example:
        >>> list(divide([3, 90, 4, 100, 3], Budget(tokens=200, call=16), max_rows=None))
        [[3, 1], [2, 0, 4]]
    """
    if len(lengths) == 1:  # a text alone, whose answer somebody waits for
        yield [0]
        return
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    ranked = np.array([lengths[place] for place in order], dtype=np.int64)
    total = len(order)
    counts = np.arange(total, 0, -1)
    cheapest = np.zeros(total + 1, dtype=np.int64)  # of the first rows, by their number
    begins = np.zeros(total + 1, dtype=np.int64)  # where their last batch begins
    first = 0  # of those with which a batch that ends here may begin; it only moves on
    for end in range(1, total + 1):
        while end - first > (max_rows or total) or (
            end - first > 1 and ranked[first] * (end - first) > budget.tokens
        ):
            first += 1
        costs = cheapest[first:end] + ranked[first:end] * counts[total - (end - first) :]
        best = int(costs.argmin())
        begins[end] = first + best
        cheapest[end] = costs[best] + budget.call
    cuts = [total]
    while cuts[-1]:
        cuts.append(int(begins[cuts[-1]]))
    for begin, end in pairwise(reversed(cuts)):
        yield order[begin:end]


def padding_ratio(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Returns which part of the tokens of some batches is padding.

    Example:
        >>> padding_ratio([4, 2, 2], [[0, 1], [2]])
        0.2
    """
    padded = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
    return (padded - sum(lengths)) / padded if padded else 0.0
