"""Pooled cosine: aligns the student's vector of a whole text with the teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._pooled import VectorLoss


class Loss(VectorLoss):
    """1 - cos(W p_S, p_T), p the pooled vectors; W is learned where their widths differ.

    A text counts as one row. W is no part of the saved model.

    Source:
        Reimers, Gurevych, "Making Monolingual Sentence Embeddings Multilingual", 2020, equation 1,
        with the cosine in place of the squared difference: the lengths of vectors that are compared
        by their angle say nothing. W is that of Jiao et al., "TinyBERT", 2020, equation 8.
    """

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the sum over rows."""
        return (1 - F.cosine_similarity(student, teacher, dim=-1)).sum()
