"""Modules that compute with a form of their weight, such as one with zeros or of few bits."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ModelT = TypeVar("ModelT", bound=nn.Module)


class Formed(nn.Module):
    """A module with the parameters of a plain one that computes with a form of its weight."""

    @abstractmethod
    def fold(self) -> nn.Module:
        """Returns a plain module with the form for a weight."""


class FormedLinear(nn.Linear, Formed):
    """A linear layer that computes with a form of its weight.

    Args:
        linear: Gives weight and bias, the same parameters.
    """

    def __init__(self, linear: nn.Linear) -> None:
        # Without memory: both are replaced.
        super().__init__(
            linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta"
        )
        self.weight, self.bias = linear.weight, linear.bias

    @abstractmethod
    def form(self) -> Tensor:
        """Returns what is computed with in place of the weight, with a gradient to it."""

    @abstractmethod
    def settle(self) -> Tensor:
        """Returns the form that stays, as it is in evaluation."""

    def form_input(self, given: Tensor) -> Tensor:
        """Returns what is multiplied in place of what is given."""
        return given

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Shape: (..., in_features) to (..., out_features)."""
        return F.linear(self.form_input(input), self.form(), self.bias)

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """Returns a plain layer with the form for a weight."""
        plain = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None, device="meta"
        )
        plain.weight, plain.bias = nn.Parameter(self.settle()), self.bias
        return plain.train(self.training)


def fold_all(model: ModelT) -> ModelT:
    """Returns a copy of a model with plain modules in place of those that have a form."""
    plain = copy.deepcopy(model)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Formed):
                setattr(parent, name, child.fold())
    return plain
