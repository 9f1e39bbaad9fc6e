"""What the losses on vectors of whole texts share: a projection, and groups of a fixed size."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck.losses._base import Loss, PlainLoss
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn import at_least_float32

EMBEDDINGS = "distill-embeddings"
"""The recipe whose batches keep groups whole, and whose rows of data have several texts."""


class VectorLoss(Loss):
    """Base of the losses that compare a text's vector with the teacher's vector of the same text.

    A text counts as one row. Where the widths differ, the student's vectors are mapped to the
    teacher's width by a matrix that is learned, and is no part of the saved model.

    Source:
        The matrix: W_h in Jiao et al., "TinyBERT", 2020, equation 8.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"pooled"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes the module, with a projection if one is needed."""
        assert teacher is not None
        return _Projected(self, student.hidden_size, teacher.hidden_size)

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the sum over rows.

        Shape:
            student, teacher: (rows, width). The result is a scalar.
        """


class _Projected(nn.Module):
    def __init__(self, loss: VectorLoss, student_size: int, teacher_size: int) -> None:
        super().__init__()
        self._loss = loss
        self.projection: nn.Module = nn.Identity()
        if student_size != teacher_size:
            self.projection = nn.Linear(student_size, teacher_size, bias=False)
            # Keeps lengths and angles, so that the student's geometry is what the loss first sees.
            nn.init.orthogonal_(self.projection.weight)

    def forward(self, seen: Compared) -> Tensor:
        student = at_least_float32(self.projection(seen.student.pooled))
        return self._loss.compare(student, at_least_float32(seen.teacher.pooled))


class GroupLoss(PlainLoss):
    """Base of the losses that compare the texts of a batch with each other.

    Such a loss depends on which texts stand together, so that a step that was cut anywhere would
    be another step. Texts therefore stand in groups of a fixed size, in the order of the data:
    a step is divided between groups only, and 1x4, 2x2 and 4x1 see the same ones. Each row of data
    counts once, and is compared with what is in its own group.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"pooled"})
    recipe: ClassVar[str | None] = EMBEDDINGS

    group_size: int = Field(default=32, ge=2)
    """Rows of data that are compared with each other; the last group of a step may have fewer."""

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of data."""
        student, is_real = _in_groups(seen.student.pooled, self.group_size)
        teacher, _ = _in_groups(seen.teacher.pooled, self.group_size)
        # Products in bf16 are off by more than a student that has learned is from its teacher.
        with torch.autocast(student.device.type, enabled=False):
            return self.compare(student, teacher, is_real)

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor, is_real: Tensor) -> Tensor:
        """Returns the sum over rows of data, that are real.

        Shape:
            student, teacher: (groups, rows of data, texts of each, width), of length 1; the two may
                differ in width.
            is_real: (groups, rows of data), false for what fills up the last group.
        """


def _in_groups(vectors: Tensor, group_size: int) -> tuple[Tensor, Tensor]:
    """Returns vectors of length 1 in groups, and which rows of data of each group are real.

    Shape:
        vectors: (rows of data, texts of each, width), or (rows of data, width) of one text each.
    """
    vectors = vectors[:, None] if vectors.dim() == 2 else vectors
    number = vectors.shape[0]
    missing = -number % group_size
    unit = F.pad(F.normalize(at_least_float32(vectors), dim=-1), (0, 0, 0, 0, 0, missing))
    is_real = torch.arange(number + missing, device=vectors.device) < number
    grouped = unit.reshape(-1, group_size, *unit.shape[1:])
    return grouped, is_real.reshape(-1, group_size)
