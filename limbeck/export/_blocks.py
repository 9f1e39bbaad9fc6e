"""Matrices in whole numbers of few bits; each few of a row share a scale and a zero point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

# With a scale of 32 bits and a zero point of 4 a weight takes 5.1 bits. Without zero points the
# cosine to fp32 falls from 0.973 to 0.969 on MiniLM, for 1 % of the file.
SIZE: Final = 32
_MOST_OF_A_BYTE: Final = 127  # what inputs are brought to, in both directions alike
# Shares of a block's range that are tried; the few numbers beyond it are cut off.
_SHARES: Final = tuple(1 - step / 32 for step in range(11))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The numbers that a matrix may hold: in each block of a row equal steps, 0 among them.

    Attributes:
        scales: Size of a step, (rows, blocks), float32.
        zeros: The whole number that stands for 0, (rows, blocks), uint8.
        bits: Of a whole number: 2, 4 or 8.
        size: Columns of a block.
    """

    scales: Tensor
    zeros: Tensor
    bits: int = 4
    size: int = SIZE

    def spread(self, columns: int) -> tuple[Tensor, Tensor]:
        """Returns scale and zero point of each number.

        Shape:
            result: (rows, columns) each.
        """
        scales, zeros = (
            each.repeat_interleave(self.size, dim=1)[:, :columns]
            for each in (self.scales, self.zeros)
        )
        return scales, zeros

    def round(self, weight: Tensor) -> Tensor:
        """Returns the nearest whole numbers.

        Shape:
            weight, result: (rows, columns).
        """
        scales, zeros = self.spread(weight.shape[1])
        return to_whole(weight, scales.to(weight.dtype), zeros, bits=self.bits).to(torch.uint8)


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """A matrix on a grid, as `MatMulNBits` of ONNX Runtime computes with it.

    Attributes:
        numbers: Whole numbers, (rows, columns), uint8.
        grid: What they stand for.
    """

    numbers: Tensor
    grid: Grid

    def to_float(self) -> Tensor:
        """Returns the numbers that they stand for, to the bit what the runtime multiplies by.

        Shape:
            result: (rows, columns), float32.
        """
        scales, zeros = self.grid.spread(self.numbers.shape[1])
        return (self.numbers.float() - zeros.float()) * scales


def find_grid(
    weight: Tensor, *, importance: Tensor | None = None, bits: int = 4, size: int = SIZE
) -> Grid:
    """Returns the grid from each block's least number to its largest, or a part of that.

    Args:
        weight: The matrix.
        importance: How much a squared error of each column counts; the range is then cut where that
            makes their sum less. None takes the whole range.
        bits: Of a whole number.
        size: Columns of a block.

    Shape:
        weight: (rows, columns).
        importance: (columns,).
    """
    blocks = split(weight, size)
    low, high = blocks.amin(-1).clamp(max=0), blocks.amax(-1).clamp(min=0)
    span = partial(_span, bits=bits, size=size)
    best = span(low, high)
    if importance is None:
        return best
    shares = split(importance[None].to(weight.dtype), size)
    least = _misses(blocks, best, shares)
    for share in _SHARES[1:]:
        tried = span(low * share, high * share)
        misses = _misses(blocks, tried, shares)
        is_better = misses < least
        least = misses.where(is_better, least)
        best = replace(
            best,
            scales=tried.scales.where(is_better, best.scales),
            zeros=tried.zeros.where(is_better, best.zeros),
        )
    return best


def round_to_nearest(
    weight: Tensor, *, importance: Tensor | None = None, bits: int = 4, size: int = SIZE
) -> Blocks:
    """Returns a matrix with each number rounded by itself; arguments as in `find_grid`."""
    grid = find_grid(weight, importance=importance, bits=bits, size=size)
    return Blocks(numbers=grid.round(weight), grid=grid)


def narrow_input(given: Tensor, *, size: int = SIZE) -> Tensor:
    """Returns an input as `MatMulNBits` reads it: in each block whole numbers of 8 bits.

    Shape:
        given, result: (..., columns).
    """
    rows = given.flatten(end_dim=-2)
    blocks = split(rows, size)
    scales = blocks.abs().amax(-1, keepdim=True) / _MOST_OF_A_BYTE
    scales = scales.where(scales > 0, torch.ones_like(scales))
    rounded = ((blocks / scales).round() * scales).flatten(start_dim=1)
    return rounded[:, : given.shape[-1]].view_as(given)


def to_whole(weight: Tensor, scales: Tensor, zeros: Tensor, *, bits: int) -> Tensor:
    """Returns the nearest whole numbers, still as floats; all shapes alike."""
    return (weight / scales).round().add(zeros).clamp(0, 2**bits - 1)


def split(weight: Tensor, size: int) -> Tensor:
    """Shape: (rows, columns) to (rows, blocks, size), the last block filled up with 0."""
    padded = torch.nn.functional.pad(weight, (0, -weight.shape[1] % size))
    return padded.view(len(weight), -1, size)


def _span(low: Tensor, high: Tensor, *, bits: int, size: int) -> Grid:
    most = 2**bits - 1
    scales = ((high - low) / most).float()
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    zeros = (-low / scales).round().clamp(0, most)
    return Grid(scales=scales, zeros=zeros.to(torch.uint8), bits=bits, size=size)


def _misses(blocks: Tensor, grid: Grid, shares: Tensor) -> Tensor:
    """Returns the weighted squared error of each block."""
    scales, zeros = grid.scales[..., None].to(blocks.dtype), grid.zeros[..., None]
    given = (to_whole(blocks, scales, zeros, bits=grid.bits) - zeros) * scales
    return ((given - blocks).square() * shares).sum(-1)
