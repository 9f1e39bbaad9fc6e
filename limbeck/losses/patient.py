"""Patient: the direction of the first token's state in each layer, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.losses._base import require_same_width
from limbeck.losses._layers import LayerLoss
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn import at_least_float32


class Loss(LayerLoss):
    """Squared distance of the first token's states, each of length 1; added up over layers.

    A text counts as one row, or a row of running text. The student's last layer is left out, since
    other losses look at what stands on it: a student of 6 layers learns from 2, 4, 6, 8 and 10 of
    12. Where classifiers read the last token, take `pooled_cosine`.

    Source:
        L_PT in Sun et al., "Patient Knowledge Distillation", 2019, equation 7, and PKD-Skip in
        section 3.2. The released code averages over the width, for which its weights are.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"hidden_states"})

    @property
    def counts_texts(self) -> bool:
        """A text has one first token."""
        return True

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes a module of the formula.

        Raises:
            SettingsError: If the models differ in width, or a layer is none of the models'.
        """
        require_same_width(self, student, teacher)
        return super().build(student, teacher)

    def choose_student_layers(self, num_layers: int) -> Sequence[int]:
        """Returns all but the last.

        Raises:
            SettingsError: If there is no other.
        """
        if num_layers == 1:
            raise SettingsError(
                f"losses.{self.name} leaves the last layer out, and the student has one layer; "
                f"accepted: losses.{self.name}.student_layers=[1]"
            )
        return range(1, num_layers)

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over texts."""
        student, teacher = (
            [F.normalize(at_least_float32(states[:, 0]), dim=-1) for states in views.hidden_states]
            for views in (seen.student, seen.teacher)
        )
        pairs = zip(student, teacher, strict=True)
        return sum(
            ((ours - theirs).square().sum() for ours, theirs in pairs),
            start=student[0].new_zeros(()),
        )
