"""Which numbers are the largest, by a k-th value instead of a sort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["local", "global"]

FLOOR = 0.005
"""Share of each matrix that stays where all are compared with each other: without it a layer may
lose all of its weights, and nothing passes through any more. That of the article's code."""


def keep_largest(numbers: Tensor, count: int) -> Tensor:
    """Marks exactly the `count` largest numbers; of equal ones those that come first.

    Shape:
        numbers: Any.
        result: The same, true or false.

    Example:
        >>> keep_largest(torch.tensor([3.0, 1.0, 2.0, 2.0]), 2).tolist()
        [True, False, True, False]
    """
    if count <= 0 or count >= numbers.numel():
        return torch.full_like(numbers, count > 0, dtype=torch.bool)
    flat = numbers.flatten()
    bound = flat.kthvalue(flat.numel() - count + 1).values
    above, equal = flat > bound, flat == bound
    # Read from no device: how many of the equal ones there is room for stays a tensor.
    kept = above | (equal & (equal.cumsum(0) <= count - above.sum()))
    return kept.view_as(numbers)


def keep_share(matrices: Sequence[Tensor], density: float, *, scope: Scope) -> list[Tensor]:
    """Marks a share of the numbers, the largest: of each matrix, or of all of them together.

    Of all together, each keeps at least `FLOOR` of its own, or the density where that is less.

    Shape:
        matrices: Any each.
        result: The same each, true or false.
    """
    if scope == "local":
        return [keep_largest(each, round(density * each.numel())) for each in matrices]
    floor = min(FLOOR, density)
    sure = [keep_largest(each, int(floor * each.numel())) for each in matrices]
    ranked = [
        each.masked_fill(is_sure, torch.inf).flatten()
        for each, is_sure in zip(matrices, sure, strict=True)
    ]
    together = torch.cat(ranked)
    kept = keep_largest(together, round(density * together.numel()))
    parts = torch.split(kept, [each.numel() for each in matrices])
    return [part.view_as(each) for part, each in zip(parts, matrices, strict=True)]


def keep_within(
    ratings: Sequence[Tensor], costs: Sequence[float], *, budget: float
) -> list[Tensor]:
    """Marks the highest rated of several groups together, as many as a budget allows.

    What no longer fits is passed over for what does; of equally rated ones the first comes first.

    Args:
        ratings: Of each group.
        costs: What one of each group costs.
        budget: What all may cost together.

    Shape:
        ratings: Any each.
        result: The same each, true or false.

    Example:
        >>> two = [torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.8])]
        >>> [kept.tolist() for kept in keep_within(two, [3, 1], budget=5)]
        [[True, False], [True, True]]
    """
    ranked = torch.cat([each.flatten() for each in ratings]).argsort(descending=True, stable=True)
    sizes = [each.numel() for each in ratings]
    each_cost = [
        ranked.new_full((n,), c, dtype=torch.float64) for n, c in zip(sizes, costs, strict=True)
    ]
    cost = torch.cat(each_cost)[ranked]
    kept, left = torch.zeros_like(cost, dtype=torch.bool), cost.new_tensor(budget)
    # The first that does not fit is above what is left then, and so are all of its cost.
    for _ in set(costs):
        fits = ~kept & (cost <= left)
        taken = fits & ((cost * fits).cumsum(0) <= left)
        kept, left = kept | taken, left - (cost * taken).sum()
    chosen = torch.empty_like(kept).scatter_(0, ranked, kept)
    return [p.view_as(each) for p, each in zip(torch.split(chosen, sizes), ratings, strict=True)]
