"""Hidden MSE: the student's embeddings and layers against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses._base import LayerPairs
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

    projection: Literal["shared", "two", "per_layer"] | None = None
    """Linear maps from the student's width to the teacher's, which are learned: `shared`, one for
    embeddings and all layers; `two`, one for the embeddings and one for all layers; `per_layer`,
    one for each. None takes `two` where the widths differ, and else has none. They are no part of
    the saved model."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula, with maps if asked for or needed.

        Raises:
            SettingsError: If `student_layers` or `teacher_layers` do not fit the models.
        """
        formula = super().build(student, teacher)
        assert teacher is not None
        sizes = student.hidden_size, teacher.hidden_size
        projection = self.projection
        if projection is None and sizes[0] == sizes[1]:
            return formula
        pairs = self.pair_layers(student.num_places, teacher.num_places)
        names = [_name_map(projection or "two", layer) for layer, _ in pairs]
        return _Projected(self, *sizes, names=names)

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
    """The formula after learned maps.

    Args:
        loss: The formula's.
        student_size: Width of the student's states.
        teacher_size: Width of the teacher's.
        names: Which map each of the student's states goes through.
    """

    def __init__(
        self, loss: Loss, student_size: int, teacher_size: int, *, names: Sequence[str]
    ) -> None:
        super().__init__()
        self._loss = loss
        self._names = names
        for name in dict.fromkeys(names):
            linear = nn.Linear(student_size, teacher_size, bias=False)
            # Keeps lengths and angles, so that the student's geometry is what the loss first sees.
            nn.init.orthogonal_(linear.weight)
            self.add_module(name, linear)

    def forward(self, seen: Compared) -> Tensor:
        states = zip(self._names, seen.student.hidden_states, strict=True)
        projected = [self.get_submodule(name)(seen.rows(state)) for name, state in states]
        return self._loss.compare(at_least_float32(torch.cat(projected)), seen)


def _name_map(projection: str, layer: int) -> str:
    """Returns what checkpoints call the map of a student's layer, counted from 1."""
    if projection == "shared":
        return "of_all"
    if layer == 0:
        return "of_embeddings"
    return "of_layers" if projection == "two" else f"of_layer_{layer}"
