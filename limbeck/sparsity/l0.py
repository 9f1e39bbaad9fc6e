"""L0 regularisation: each weight has a random gate, and the expected number of open ones is paid.

In each step a gate is z = min(1, max(0, 1.2 * s - 0.1)) with s = sigmoid((log u - log(1 - u) + S) /
(2/3)) and u drawn evenly from 0 to 1, once a step whatever it is split into; in evaluation and in
the cool-down s = sigmoid(S). W' = W * z, so that the gradient of the scores S is exact. Added to
the loss is penalty * mean(P(z > 0)), with P(z > 0) = sigmoid(S - 2/3 * log(0.1 / 1.1)).

Source:
    Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018, section
    2.3, equations 10 to 13; on BERT, with these numbers: Sanh et al., "Movement Pruning", NeurIPS
    2020, section 5 (SQuAD, 10 % of the weights, with a teacher: F1 81.9, movement 84.3).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.sparsity._hard_concrete import chance_open, draw_noise, make_gates
from limbeck.sparsity._mask import Mask, MaskedLinear
from limbeck.sparsity._settings import PenalisedSettings, scores_of


class HardConcreteMask(Mask):
    """Gates between 0 and 1, drawn in training and fixed in evaluation.

    Source:
        Louizos et al., 2018, equations 10 to 12.
    """

    noise: Tensor | None
    """Logits of what the step's gates are drawn by; None for the gates of evaluation."""

    def __init__(self, weight: Tensor, *, start: float | None) -> None:
        super().__init__(weight, start=start)
        self.register_buffer("noise", None, persistent=False)

    def forward(self) -> Tensor:
        """Returns the gates, in the shape of the weight; what is not kept has 0."""
        assert self.scores is not None
        return make_gates(self.scores, self.noise if self.training else None) * self.kept


class L0Settings(PenalisedSettings):
    """Settings of `l0`."""

    start: ClassVar[float | None] = 2.197  # sigmoid(2.197) = 0.9, as in the article's code

    method: Literal["l0"] = "l0"
    penalty: float = Field(default=125.0, gt=0, allow_inf_nan=False)
    """What is added to the loss, times the expected share of open gates; it grows from 0 as the
    schedule goes on. The more, the fewer weights stay. By default that of the article on
    movement pruning."""
    learning_rate: float = Field(default=1e-1, gt=0, allow_inf_nan=False)
    """Peak learning rate of the scores, on the schedule of the run; by default that of the article
    on movement pruning."""

    def build_mask(self, weight: Tensor) -> Mask:
        """Makes the gates of a weight."""
        return HardConcreteMask(weight, start=self.start)

    def choose(self, layer: MaskedLinear, *, left: float, generator: torch.Generator) -> Tensor:
        """Draws the step's gates, and says which may be open, which are all."""
        mask = layer.mask
        assert isinstance(mask, HardConcreteMask)
        mask.noise = draw_noise(scores_of(layer), generator=generator) if left > 0 else None
        return torch.ones_like(mask.kept)

    def sum_penalty(self, scores: Tensor) -> Tensor:
        """Returns the expected number of open gates."""
        return chance_open(scores).sum()


SettingsType = L0Settings
