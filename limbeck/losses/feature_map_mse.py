"""Feature map MSE: the student's layers against the teacher's, each state standardised."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses._base import require_same_width
from limbeck.losses._layers import LayerLoss
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig


class Loss(LayerLoss):
    """Squared difference of layer-normalised states, averaged over width, added up over layers.

    The norm has no weights of its own, so that what counts is the direction of a state about its
    mean. Embeddings are not compared. `hidden_mse` compares the states as they are.

    Source:
        L_FMT in Sun et al., "MobileBERT", 2020, equation 1; the norm is in the released code, which
        gives it a weight of 100.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"hidden_states"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the models differ in width, or a layer is none of the models'.
        """
        require_same_width(self, student, teacher)
        return super().build(student, teacher)

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of hidden states."""
        student, teacher = (
            F.layer_norm(rows, rows.shape[-1:])
            for rows in (seen.rows(*views.hidden_states) for views in (seen.student, seen.teacher))
        )
        return F.mse_loss(student, teacher, reduction="none").mean(dim=-1).sum()
