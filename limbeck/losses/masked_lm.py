"""Masked LM: cross-entropy of the student against the original ids."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._base import Loss as BaseLoss
from limbeck.losses._base import Needs, Rows
from limbeck.nn.constants import IGNORE_INDEX


class Loss(BaseLoss):
    """Cross-entropy at the masked positions, temperature 1.

    Source:
        Devlin et al., "BERT", NAACL 2019, section 3.1.
    """

    needs: ClassVar[Needs] = "logits"
    uses_teacher: ClassVar[bool] = False

    positions: Literal["masked"] = "masked"
    """Only masked positions have an original id to predict."""

    def sum(self, rows: Rows) -> Tensor:
        """Returns the sum over rows; rows hold logits of shape (rows, vocabulary)."""
        return F.cross_entropy(
            rows.student, rows.labels, ignore_index=IGNORE_INDEX, reduction="sum"
        )
