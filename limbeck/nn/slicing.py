"""Leaving a linear layer some of its inputs or outputs, or none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def keep_outputs(linear: nn.Linear, places: Sequence[int]) -> None:
    """Leaves a linear layer these of its outputs, in this order: exact copies of its rows."""
    linear.weight = _keep(linear.weight, 0, places)
    if linear.bias is not None:
        linear.bias = _keep(linear.bias, 0, places)
    linear.out_features = len(places)


def keep_inputs(linear: nn.Linear, places: Sequence[int]) -> None:
    """Leaves a linear layer these of its inputs, in this order; its bias stays."""
    linear.weight = _keep(linear.weight, 1, places)
    linear.in_features = len(places)


def add_bias(linear: nn.Linear, hidden: Tensor) -> Tensor:
    """Returns what a linear layer gives that was left no inputs: its bias for each token.

    It is not multiplied by a matrix without columns, which not every runtime knows.

    Shape:
        hidden: (..., out_features), which only says for how many tokens.
        result: The same.
    """
    if linear.bias is None:
        return torch.zeros_like(hidden)
    return linear.bias.expand_as(hidden)


def _keep(tensor: Tensor, dim: int, places: Sequence[int]) -> nn.Parameter:
    index = torch.tensor(list(places), dtype=torch.long, device=tensor.device)
    kept = tensor.detach().index_select(dim, index)
    return nn.Parameter(kept, requires_grad=tensor.requires_grad)
