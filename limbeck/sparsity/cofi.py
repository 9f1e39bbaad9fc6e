"""CoFi: gates on whole blocks, heads and neurons at once, under a bound on what stays in all.

Each layer's attention and feed-forward has a gate z_block, each of its heads and neurons a gate
z_unit; what a unit writes is multiplied by z_block * z_unit. All are drawn in training as those of
`l0`. With chances p = P(z > 0) and c weights a unit, the expected density is

    e = sum of p_block * p_unit * c over all units / sum of c over all units,

and with t, the density that is to be reached by now, (e - t) * l1 + (e - t)^2 * l2 is added to the
loss. The gates make it small, the multipliers l1 and l2 large: l1 grows as long as there are too
many weights. t falls in a line from 1 to `density` and stays there, while gates still change.
From the cool-down on those of the highest p_block * p_unit stay that `density` has room for, with
the factor that their gates are in evaluation, and learn on as any weights.

Source:
    Xia, Zhong and Chen, "Structured Pruning Learns Compact and Accurate Models", ACL 2022, section
    3.1 and appendix A. Not done here: gates on the hidden states' width, which is one for all
    layers, and the map of layers that is found anew in each batch; `losses.hidden_mse` compares
    layers of the same height.
    BERT-base, 60 % of the layers' weights gone: MNLI 85.3 of 84.8, QNLI 91.8, SST-2 93.0, 2.0 times
    as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.models import Model
from limbeck.sparsity._hard_concrete import chance_open, draw_noise, make_gates
from limbeck.sparsity._mask import Factors, MaskedLinear
from limbeck.sparsity._schedule import share_left
from limbeck.sparsity._settings import Density, Ratio, SparsitySettings
from limbeck.sparsity._top import keep_within
from limbeck.sparsity._units import Block, ColumnMask, RowMask, list_blocks


class BlockGates(nn.Module):
    """The gates of a block and of its units.

    Args:
        block: Whose they are.
        start: What each score starts as.
    """

    kept: Tensor
    """Which units may be open."""
    noise: Tensor | None
    """What the step's gates are drawn by, that of the block last; None for those of evaluation."""

    def __init__(self, block: Block, *, start: float) -> None:
        super().__init__()
        scores = block.writes.weight.new_full((block.num_units + 1,), start)
        self.unit_weights = block.unit_weights
        self.num_units = block.num_units
        self.scores = nn.Parameter(scores)
        self.register_buffer(
            "kept", torch.ones_like(scores[:-1], dtype=torch.bool), persistent=False
        )
        self.register_buffer("noise", None, persistent=False)

    def forward(self) -> Tensor:
        """Returns the factor of each unit.

        Shape:
            result: (units,)
        """
        gates = make_gates(self.scores, self.noise if self.training else None)
        factors: Tensor = gates[:-1] * gates[-1] * self.kept
        return factors

    def chances(self) -> Tensor:
        """Returns with which chance each unit's own gate and that of the block are both open.

        Shape:
            result: (units,)
        """
        chances = chance_open(self.scores)
        return chances[:-1] * chances[-1]


class _IsOpen(nn.Module):
    """Tells of what is read by units whether anything is written of it.

    Args:
        gates: Of the units.
    """

    def __init__(self, gates: BlockGates) -> None:
        super().__init__()
        self.gates = gates

    def forward(self) -> Tensor:
        """Shape: (units,)."""
        factors: Tensor = self.gates()
        return factors > 0


class Lagrangian(nn.Module):
    """Two multipliers of an excess, which grow where all else that is trained makes it small."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.multipliers = nn.Parameter(like.new_zeros(2))

    def forward(self, excess: Tensor) -> Tensor:
        """Returns what is added to the loss, a scalar; to the multipliers with the gradient turned.

        Args:
            excess: What is to become 0, a scalar.
        """
        first, second = 2 * self.multipliers.detach() - self.multipliers
        added: Tensor = first * excess + second * excess.square()
        return added


class CofiMask(ColumnMask):
    """The factors of what a block writes; that of the first block has the multipliers too.

    Args:
        gates: Of the block.
        size: How many columns a unit has.
        lagrangian: The multipliers; None for all blocks but one.
    """

    def __init__(self, gates: BlockGates, size: int, lagrangian: Lagrangian | None) -> None:
        super().__init__(gates, size)
        self.gates = gates
        self.lagrangian = lagrangian


class CofiSettings(SparsitySettings):
    """Settings of `cofi`."""

    start: ClassVar[float | None] = 2.5  # from log(11) = 2.4 on, gates are 1 in evaluation
    empties_units: ClassVar[bool] = True

    method: Literal["cofi"] = "cofi"
    density: Density
    """At most this share of the weights of all heads and neurons stays; 0.4 is what CoFi keeps
    at the least it loses."""
    rise_ratio: Ratio = 0.5
    """Share of the steps between warm-up and cool-down in which what is to stay falls to
    `density`."""
    learning_rate: float = Field(default=1e-1, gt=0, allow_inf_nan=False)
    """Peak learning rate of gates and multipliers, on the schedule of the run; by default that of
    the article's code."""

    @property
    def rate_of_scores(self) -> float | None:
        """Peak learning rate of the gates and multipliers."""
        return self.learning_rate

    def left_at(self, step: int, num_steps: int) -> float:
        """Returns how much of the way to the cool-down is left after a step: from 1 to 0."""
        return share_left(
            step,
            num_steps,
            warmup_ratio=self.warmup_ratio,
            cooldown_ratio=self.cooldown_ratio,
            power=1,
        )

    def target(self, left: float) -> float:
        """Returns which density is to be expected with so much of the way left."""
        done = 1 - left
        risen = min(1.0, done / self.rise_ratio) if self.rise_ratio else float(done > 0)
        return 1 - (1 - self.density) * risen

    def build_masks(self, model: Model) -> Mapping[nn.Linear, Factors]:
        """Makes the gates of all blocks.

        Raises:
            SettingsError: If the model's layers can't lose some of their units.
        """
        assert self.start is not None
        masks: dict[nn.Linear, Factors] = {}
        for place, block in enumerate(list_blocks(model, method=self.method)):
            gates = BlockGates(block, start=self.start)
            lagrangian = Lagrangian(block.writes.weight) if place == 0 else None
            masks[block.writes] = CofiMask(gates, block.size, lagrangian)
            masks |= {linear: RowMask(_IsOpen(gates), block.size) for linear in block.reads}
        return masks

    def set_masks(
        self, layers: Sequence[MaskedLinear], *, left: float, generator: torch.Generator
    ) -> None:
        """Draws the step's gates, or in the cool-down keeps what there is room for."""
        blocks = [mask.gates for mask in _list_masks(layers)]
        is_final = left == 0
        for gates in blocks:
            gates.noise = None if is_final else draw_noise(gates.scores, generator=generator)
            gates.scores.requires_grad_(not is_final)
        if not is_final:
            return
        costs = [gates.unit_weights for gates in blocks]
        total = sum(gates.unit_weights * gates.num_units for gates in blocks)
        chances = [gates.chances() for gates in blocks]
        kept = keep_within(chances, costs, budget=self.density * total)
        for gates, of_block in zip(blocks, kept, strict=True):
            gates.kept = of_block

    def penalise(self, layers: Sequence[MaskedLinear], *, left: float) -> Tensor | None:
        """Returns the Lagrangian of the density that is expected; None where nothing is pruned."""
        if left in (0, 1):
            return None
        masks = _list_masks(layers)
        lagrangian = masks[0].lagrangian
        assert lagrangian is not None
        excess: Tensor = lagrangian(expect_density(masks) - self.target(left))
        return excess


def expect_density(masks: Sequence[CofiMask]) -> Tensor:
    """Returns the share of all units' weights that is expected to be open, a scalar."""
    weights = [mask.gates.unit_weights for mask in masks]
    opened = [mask.gates.chances().sum() * one for mask, one in zip(masks, weights, strict=True)]
    total = sum(mask.gates.num_units * one for mask, one in zip(masks, weights, strict=True))
    return torch.stack(opened).sum() / total


def _list_masks(layers: Sequence[MaskedLinear]) -> list[CofiMask]:
    return [layer.mask for layer in layers if isinstance(layer.mask, CofiMask)]


SettingsType = CofiSettings
