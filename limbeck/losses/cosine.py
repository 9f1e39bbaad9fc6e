"""Cosine: aligns the directions of the student's and the teacher's last hidden states."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses._base import PlainLoss, Positions, require_same_width
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig


class Loss(PlainLoss):
    """1 - cos(h_S, h_T), without a projection: both models must have the same hidden size.

    Source:
        L_cos in Sanh et al., "DistilBERT", 2019, section 2.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"last_hidden_state"})

    positions: Positions = "real"
    """`masked`: only positions that carry a label, which are the masked tokens, or in causal models
    all with a token after them; `real`: every position that is not padding."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the models differ in width.
        """
        require_same_width(self, student, teacher)
        return super().build(student, teacher)

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of hidden states."""
        student = seen.rows(seen.student.last_hidden_state)
        teacher = seen.rows(seen.teacher.last_hidden_state)
        return (1 - F.cosine_similarity(student, teacher, dim=-1)).sum()
