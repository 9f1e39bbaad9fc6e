"""Logit MSE: mean squared difference of the two models' logits."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._base import Loss as BaseLoss
from limbeck.losses._base import Needs, Rows


class Loss(BaseLoss):
    """Squared difference of the logits, averaged over the vocabulary.

    The original DistilBERT code sums over the vocabulary instead; the mean keeps the weight's
    meaning the same for every vocabulary.

    Source:
        Ba and Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014, equation 1.
    """

    needs: ClassVar[Needs] = "logits"

    def sum(self, rows: Rows) -> Tensor:
        """Returns the sum over rows; rows hold logits of shape (rows, vocabulary)."""
        assert rows.teacher is not None
        return F.mse_loss(rows.student, rows.teacher, reduction="none").mean(dim=-1).sum()
