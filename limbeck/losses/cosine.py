"""Cosine: aligns the directions of the student's and the teacher's last hidden states."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._base import Loss as BaseLoss
from limbeck.losses._base import Needs, Positions, Rows


class Loss(BaseLoss):
    """1 - cos(h_S, h_T), without a projection: both models must have the same hidden size.

    Source:
        L_cos in Sanh et al., "DistilBERT", 2019, section 2.
    """

    needs: ClassVar[Needs] = "last_hidden_state"

    positions: Positions = "real"
    """`masked`: only positions that carry a label; `real`: every position that is not padding."""

    def sum(self, rows: Rows) -> Tensor:
        """Returns the sum over rows; rows hold hidden states of shape (rows, hidden_size)."""
        assert rows.teacher is not None
        return (1 - F.cosine_similarity(rows.student, rows.teacher, dim=-1)).sum()
