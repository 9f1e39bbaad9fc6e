"""Weights of three values, each block of a row its own: 0, and one number with both signs."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from limbeck.export._blocks import Blocks, Grid, split

SIZE: Final = 64
"""Weights of a block, which share a scale of 32 bits: 2.5 bits a weight, of 32 it would be 3."""
_THRESHOLD: Final = 0.7


def ternarise(weight: Tensor) -> Blocks:
    """Returns a matrix whose numbers are 0 or of one size in a block, in two bits each.

    Of the weights w of a block those beyond d = 0.7 * mean(|w|) stay, with their signs, and all
    become as large as these are in the mean: that is the size with the least squared error for d,
    and d is nearly the best for normally distributed weights.

    Shape:
        weight: (rows, columns).

    Source:
        Li et al., "Ternary Weight Networks", 2016, equations 3 to 6,
        https://arxiv.org/abs/1605.04711; so in Zhang et al., "TernaryBERT", EMNLP 2020, section
        3.1.1, with a scale for each matrix, and for each row of a table.
    """
    blocks = split(weight, SIZE).double()  # sums of equal numbers are exact, and so their mean is
    sizes = blocks.abs()
    real = split(torch.ones_like(weight[:1]), SIZE).sum(-1)  # those that fill up are none
    bound = _THRESHOLD * sizes.sum(-1) / real
    is_large = sizes > bound[..., None]
    scales = (sizes * is_large).sum(-1) / is_large.sum(-1).clamp_min(1)
    scales = scales.where(scales > 0, torch.ones_like(scales))
    numbers = (blocks.sign() * is_large + 1).to(torch.uint8).flatten(start_dim=1)
    return Blocks(
        numbers=numbers[:, : weight.shape[1]],
        grid=Grid(
            scales=scales.float(),
            zeros=torch.ones_like(scales, dtype=torch.uint8),
            bits=2,
            size=SIZE,
        ),
    )
