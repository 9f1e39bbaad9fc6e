"""The position-wise feed-forward blocks of a transformer layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from limbeck.nn.slicing import add_bias, keep_inputs, keep_outputs


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
        if self.down.in_features == 0:
            return add_bias(self.down, hidden)
        down: Tensor = self.down(self.activation(self.up(hidden)))
        return down

    def keep_neurons(self, places: Sequence[int]) -> None:
        """Leaves it some of its inner neurons, by their places; what `down` adds stays."""
        keep_outputs(self.up, places)
        keep_inputs(self.down, places)


class GatedFeedForward(nn.Module):
    """Linear up, activation, times another linear up, dropout, linear down.

    Source: Shazeer 2020, https://arxiv.org/abs/2002.05202, equation 6.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        intermediate_size: int,
        activation: nn.Module,
        dropout: nn.Module,
        bias: bool,
    ) -> None:
        super().__init__()
        self.up = nn.Linear(hidden_size, intermediate_size, bias=bias)
        self.gate = nn.Linear(hidden_size, intermediate_size, bias=bias)
        self.activation = activation
        self.dropout = dropout
        self.down = nn.Linear(intermediate_size, hidden_size, bias=bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., hidden_size) to (..., hidden_size)."""
        if self.down.in_features == 0:
            return add_bias(self.down, hidden)
        gated = self.activation(self.up(hidden)) * self.gate(hidden)
        down: Tensor = self.down(self.dropout(gated))
        return down

    def keep_neurons(self, places: Sequence[int]) -> None:
        """Leaves it some of its inner neurons, by their places; what `down` adds stays."""
        keep_outputs(self.up, places)
        keep_outputs(self.gate, places)
        keep_inputs(self.down, places)
