"""Causal LM: cross-entropy of the student against each next token."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._labels import sum_of_cross_entropy
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """-log p(the token after a position), by those up to it, temperature 1.

    Source:
        Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, equation 1.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"logits"})
    uses_teacher: ClassVar[bool] = False
    language_model: ClassVar[str | None] = "causal_lm"

    positions: Literal["masked"] = "masked"
    """Only positions with a token after them have one to predict."""

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of logits."""
        return sum_of_cross_entropy(seen)
