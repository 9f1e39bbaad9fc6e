"""Hidden MSE: the student's embeddings and layers against the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses._base import LayerPairs, require_same_width
from limbeck.losses._layers import LayerLoss
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn import at_least_float32


class Loss(LayerLoss):
    """Squared difference of the hidden states, averaged over their width, added up over layers.

    Source:
        L_hidn and L_embd in Jiao et al., "TinyBERT", 2020, equations 8 and 9, whose W_h and W_e
        are what `projection` learns.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"hidden_states"})

    projection: bool = False
    """Learn a linear map from the student's width to the teacher's, one for the embeddings and one
    for all layers; where the widths are equal, none is needed. The maps are no part of the saved
    model."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula, with its projections if asked for.

        Raises:
            SettingsError: If the models differ in width and there is no projection, or
                `teacher_layers` do not fit them.
        """
        formula = super().build(student, teacher)
        if not self.projection:
            remedy = f"learn a map with losses.{self.name}.projection=true, "
            require_same_width(self, student, teacher, remedy=remedy)
            return formula
        assert teacher is not None
        return _Projected(self, student.hidden_size, teacher.hidden_size)

    def pair_layers(self, num_student_layers: int, num_teacher_layers: int) -> LayerPairs:
        """Returns the embeddings, and then the layers."""
        return ((0, 0), *super().pair_layers(num_student_layers, num_teacher_layers))

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of hidden states."""
        return self.compare(seen.rows(*seen.student.hidden_states), seen)

    def compare(self, student: Tensor, seen: Compared) -> Tensor:
        """Returns the sum over rows, given those of the student in the teacher's width."""
        teacher = seen.rows(*seen.teacher.hidden_states)
        return F.mse_loss(student, teacher, reduction="none").mean(dim=-1).sum()


class _Projected(nn.Module):
    def __init__(self, loss: Loss, student_size: int, teacher_size: int) -> None:
        super().__init__()
        self._loss = loss
        self.of_embeddings = nn.Linear(student_size, teacher_size, bias=False)
        self.of_layers = nn.Linear(student_size, teacher_size, bias=False)
        for linear in (self.of_embeddings, self.of_layers):
            # Keeps lengths and angles, so that the student's geometry is what the loss first sees.
            nn.init.orthogonal_(linear.weight)

    def forward(self, seen: Compared) -> Tensor:
        embeddings, *layers = seen.student.hidden_states
        projected = self.of_embeddings(seen.rows(embeddings)), self.of_layers(seen.rows(*layers))
        return self._loss.compare(at_least_float32(torch.cat(projected)), seen)
