"""Masked LM: cross-entropy of the student against the original ids."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._labels import sum_of_cross_entropy
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """Cross-entropy at the masked positions, temperature 1.

    Source:
        Devlin et al., "BERT", NAACL 2019, section 3.1.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"logits"})
    uses_teacher: ClassVar[bool] = False
    language_model: ClassVar[str | None] = "masked_lm"

    positions: Literal["masked"] = "masked"
    """Only masked positions have an original id to predict."""

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of logits."""
        return sum_of_cross_entropy(seen)
