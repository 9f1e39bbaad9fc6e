"""Pooled cosine: aligns the student's vector of a whole text with the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses._base import Loss as LossSettings
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig
from limbeck.nn import at_least_float32


class Loss(LossSettings):
    """1 - cos(W p_S, p_T), p the pooled vectors; W is learned where their widths differ.

    A text counts as one row. W is no part of the saved model.

    Source:
        Reimers, Gurevych, "Making Monolingual Sentence Embeddings Multilingual", 2020, equation 1,
        with the cosine in place of the squared difference: the lengths of vectors that are compared
        by their angle say nothing. W is that of Jiao et al., "TinyBERT", 2020, equation 8.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"pooled"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes the module, with a projection if one is needed."""
        assert teacher is not None
        return _PooledCosine(student.hidden_size, teacher.hidden_size)


class _PooledCosine(nn.Module):
    def __init__(self, student_size: int, teacher_size: int) -> None:
        super().__init__()
        self.projection: nn.Module = nn.Identity()
        if student_size != teacher_size:
            self.projection = nn.Linear(student_size, teacher_size, bias=False)
            # Keeps lengths and angles, so that the student's geometry is what the loss first sees.
            nn.init.orthogonal_(self.projection.weight)

    def forward(self, seen: Compared) -> Tensor:
        student = at_least_float32(self.projection(seen.student.pooled))
        teacher = at_least_float32(seen.teacher.pooled)
        return (1 - F.cosine_similarity(student, teacher, dim=-1)).sum()
