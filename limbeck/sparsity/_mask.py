"""Linear layers whose weights are multiplied by masks."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


class MaskedLinear(nn.Linear):
    """A linear layer with a mask on its weight, which it has from a plain one.

    Args:
        linear: Gives weight and bias, the same parameters.
        mask: Fits its weight.
    """

    def __init__(self, linear: nn.Linear, mask: Factors) -> None:
        # Without memory: both are replaced.
        super().__init__(
            linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta"
        )
        self.weight, self.bias = linear.weight, linear.bias
        self.mask = mask

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Shape: (..., in_features) to (..., out_features)."""
        return F.linear(input, self.weight * self.mask(), self.bias)

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """Returns a plain layer with the mask in its weight, as it is in evaluation."""
        plain = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None, device="meta"
        )
        factors = self.mask.train(mode=False)()
        # A negative weight times zero is -0, which is no zero byte.
        weight = torch.where(factors == 0, 0.0, self.weight * factors)
        plain.weight, plain.bias = nn.Parameter(weight), self.bias
        return plain.train(self.training)
