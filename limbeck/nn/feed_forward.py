"""The position-wise feed-forward block of a transformer layer."""

from __future__ import annotations

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Linear up, activation, linear down.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.3.
    """

    def __init__(self, hidden_size: int, *, intermediate_size: int, activation: nn.Module) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_size, intermediate_size)
        self.activation = activation
        self.down = nn.Linear(intermediate_size, hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., hidden_size) to (..., hidden_size)."""
        down: Tensor = self.down(self.activation(self.up(hidden)))
        return down
