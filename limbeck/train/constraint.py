"""What holds a model's weights to a form while they are trained: zeros, or a grid of few bits.

A run trains the model that it holds and knows no more of it than stands here; what is scored and
saved is a plain model of that form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from torch import Tensor, nn

ModelT = TypeVar("ModelT", bound=nn.Module)


class Constraint(ABC, Generic[ModelT]):
    """Has a model compute with weights of a form, behind which there are those that are trained."""

    def advance(self, step: int) -> None:
        """Sets the form to what it is after a step: a function of it and of what is trained.

        Args:
            step: Steps made.
        """

    def is_final(self, step: int) -> bool:  # noqa: ARG002
        """Tells whether the form is the one that the run is to give, from a step on."""
        return True

    def penalty(self) -> Tensor | None:
        """Returns what a step's loss is more by, with gradient, a scalar; None if nothing is."""
        return None

    def rates(self) -> Mapping[nn.Parameter, float]:
        """Returns parameters of the form's own, each with its peak learning rate."""
        return {}

    @abstractmethod
    def fold(self) -> ModelT:
        """Returns a plain copy of the model, whose weights are of the form."""
