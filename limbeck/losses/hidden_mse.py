"""Hidden MSE: the student's embeddings and layers against the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._base import Needs, Rows
from limbeck.losses._layers import LayerLoss


class Loss(LayerLoss):
    """Squared difference of the hidden states, averaged over their width, added up over layers.

    Without a projection: both models must have the same hidden size.

    Source:
        L_hidn and L_embd in Jiao et al., "TinyBERT", 2020, equations 8 and 9.
    """

    needs: ClassVar[Needs] = "hidden_states"

    def sum(self, rows: Rows) -> Tensor:
        """Returns the sum over rows; rows hold hidden states of shape (rows, hidden_size)."""
        assert rows.teacher is not None
        return F.mse_loss(rows.student, rows.teacher, reduction="none").mean(dim=-1).sum()
