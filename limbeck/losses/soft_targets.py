"""Soft targets: divergence of the student's softened distribution from the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """T² KL( softmax(z_T / T) ‖ softmax(z_S / T) ), 0 where both distributions are equal.

    Source:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2;
        as L_ce in Sanh et al., "DistilBERT", 2019, section 2.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"logits"})

    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Both models' logits are divided by this; the square of it keeps the gradient's scale."""

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of logits."""
        student = F.log_softmax(seen.student.logits / self.temperature, dim=-1)
        teacher = F.log_softmax(seen.teacher.logits / self.temperature, dim=-1)
        divergence = F.kl_div(student, teacher, reduction="sum", log_target=True)
        return divergence * self.temperature**2
