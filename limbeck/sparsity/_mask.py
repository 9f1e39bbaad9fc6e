"""Linear layers whose weights are multiplied by masks."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from limbeck.train import FormedLinear


class Factors(nn.Module):
    """What a weight is multiplied by."""

    @abstractmethod
    def forward(self) -> Tensor:
        """Returns the factors, in a shape that becomes that of the weight."""


class Mask(Factors):
    """What a weight is multiplied by: zeros and ones, behind which there may be trained scores.

    The scores' gradient passes straight through the choice: with W' = W * M(S), dL/dS is taken as
    dL/dW' * W.

    Args:
        weight: What is masked.
        start: What each score starts as; None for a mask without scores.

    Source:
        Sanh et al., "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020, section 4;
        the estimator: Bengio et al., 2013, https://arxiv.org/abs/1308.3432.
    """

    kept: Tensor
    """Which weights stay; a function of scores or weights and the step, so that no checkpoint has
    it."""

    def __init__(self, weight: Tensor, *, start: float | None) -> None:
        super().__init__()
        given = weight.detach()
        self.scores = None if start is None else nn.Parameter(torch.full_like(given, start))
        ones = torch.ones_like(given, dtype=torch.bool)
        self.register_buffer("kept", ones, persistent=False)

    def forward(self) -> Tensor:
        """Returns the factors, in the shape of the weight."""
        if self.scores is None:
            return self.kept
        return self.kept + (self.scores - self.scores.detach())


class MaskedLinear(FormedLinear):
    """A linear layer with a mask on its weight, which it has from a plain one.

    Args:
        linear: Gives weight and bias, the same parameters.
        mask: Fits its weight.
    """

    def __init__(self, linear: nn.Linear, mask: Factors) -> None:
        super().__init__(linear)
        self.mask = mask

    def form(self) -> Tensor:
        """Returns the weight times the mask."""
        weight: Tensor = self.weight * self.mask()
        return weight

    def settle(self) -> Tensor:
        """Returns the weight with the mask in it, as it is in evaluation."""
        factors = self.mask.train(mode=False)()
        # A negative weight times zero is -0, which is no zero byte.
        return torch.where(factors == 0, 0.0, self.weight * factors)
