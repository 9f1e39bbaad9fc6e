"""Block movement: whole blocks of attention's weights and whole neurons stay that learning needs.

As `movement`, with one score for each square block of an attention's matrices and one for each
neuron, its rows and its column together: M = Top_v(S), where a unit takes as much of the share as
it has weights, of all layers together; dL/dS is the sum of dL/dW' * W over the unit. Neurons that
went, and heads of which no block is left, are taken out of the model by `limbeck prune`.

Source:
    Lagunas et al., "Block Pruning For Faster Transformers", EMNLP 2021, sections 3 and 4.2: blocks
    of 32 x 32 in attention, dimensions in the feed-forward ("hybrid"); the scores chosen here by
    rank, as in movement pruning, and not by a bound with a penalty. BERT-base on SQuAD, 41 % of the
    layers' weights left, with a teacher: F1 88.7 of 88.5, 1.84 times as fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.models import Model
from limbeck.sparsity._mask import Factors, Mask, MaskedLinear
from limbeck.sparsity._settings import Density, SparsitySettings
from limbeck.sparsity._top import keep_within
from limbeck.sparsity._units import ColumnMask, RowMask, list_blocks


class TileMask(Factors):
    """Factors of square blocks of a weight.

    Args:
        source: Gives one factor for each block.
        size: How many rows, and columns, a block has.
    """

    def __init__(self, source: Mask, size: int) -> None:
        super().__init__()
        self.source = source
        self.size = size

    def forward(self) -> Tensor:
        """Returns the factors, in the shape of the weight."""
        factors: Tensor = self.source()
        return factors.repeat_interleave(self.size, 0).repeat_interleave(self.size, 1)


class BlockMovementSettings(SparsitySettings):
    """Settings of `block_movement`."""

    start: ClassVar[float | None] = 0.0
    empties_units: ClassVar[bool] = True

    method: Literal["block_movement"] = "block_movement"
    density: Density
    """At most this share of the weights stays, those of the highest scores of all layers
    together."""
    block: int = Field(default=32, ge=1)
    """Rows and columns of a block in attention's matrices, which it has to divide; by default the
    article's."""
    learning_rate: float = Field(default=1e-2, gt=0, allow_inf_nan=False)
    """Peak learning rate of the scores, on the schedule of the run; by default the article's."""

    @property
    def rate_of_scores(self) -> float | None:
        """Peak learning rate of the scores."""
        return self.learning_rate

    def build_masks(self, model: Model) -> Mapping[nn.Linear, Factors]:
        """Makes a score for each block of attention's weights, and one for each neuron.

        Raises:
            SettingsError: If blocks don't divide a matrix, or layers can't lose their units.
        """
        masks: dict[nn.Linear, Factors] = {}
        for unit in list_blocks(model, method=self.method):
            if unit.size > 1:  # attention, unless its heads have one number each
                for linear in (*unit.reads, unit.writes):
                    masks[linear] = self._build_tiles(linear.weight)
                continue
            source = Mask(unit.writes.weight[0], start=self.start)
            masks[unit.writes] = ColumnMask(source, 1)
            masks |= {linear: RowMask(source, 1) for linear in unit.reads}
        return masks

    def _build_tiles(self, weight: Tensor) -> TileMask:
        rows, columns = weight.shape
        if rows % self.block or columns % self.block:
            fit = math.gcd(rows, columns)
            raise SettingsError(
                f"sparsify.block = {self.block} does not divide the {rows} x {columns} weights of "
                f"an attention; accepted: a divisor of {fit}"
            )
        return TileMask(Mask(weight[:: self.block, :: self.block], start=self.start), self.block)

    def set_masks(
        self,
        layers: Sequence[MaskedLinear],
        *,
        left: float,
        generator: torch.Generator,  # noqa: ARG002
    ) -> None:
        """Keeps the share that the schedule is at."""
        units = _list_units(layers)
        density = self.density + (1 - self.density) * left
        total = sum(source.kept.numel() * weights for source, weights in units.items())
        scores = [_scores_of(source) for source in units]
        kept = keep_within(scores, list(units.values()), budget=density * total)
        for source, of_source in zip(units, kept, strict=True):
            source.kept = of_source


def _list_units(layers: Sequence[MaskedLinear]) -> dict[Mask, int]:
    """Returns what has scores, each with the number of weights that one of them speaks for."""
    found: dict[Mask, int] = {}
    for layer in layers:
        source = layer.mask.get_submodule("source")
        assert isinstance(source, Mask)
        found[source] = found.get(source, 0) + layer.weight.numel() // source.kept.numel()
    return found


def _scores_of(source: Mask) -> Tensor:
    assert source.scores is not None
    return source.scores


SettingsType = BlockMovementSettings
