"""Logit MSE: mean squared difference of the two models' logits."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """Squared difference of the logits, averaged over the vocabulary.

    The original DistilBERT code sums over the vocabulary instead; the mean keeps the weight's
    meaning the same for every vocabulary.

    Source:
        Ba and Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014, equation 1.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"logits"})

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of logits."""
        squares = F.mse_loss(seen.student.logits, seen.teacher.logits, reduction="none")
        return squares.mean(dim=-1).sum()
