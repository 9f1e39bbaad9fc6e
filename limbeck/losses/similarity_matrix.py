"""Similarity matrix: how alike the texts of a group are to the student, against the teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.losses._pooled import GroupLoss


class Loss(GroupLoss):
    """Mean over the others of a text's group of (cos_S - cos_T)², whatever the models' widths.

    Where a row of data has several texts, all of them are compared, and the row counts their mean.

    Source:
        Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, equations 2 to 4,
        with cosines in place of products whose rows are normalised, and without the diagonal, which
        is 1 for both models.
    """

    def compare(self, student: Tensor, teacher: Tensor, is_real: Tensor) -> Tensor:
        """Returns the sum over rows of data."""
        num_texts = student.shape[2]
        ours, theirs = (unit.flatten(1, 2) for unit in (student, teacher))
        squares = (ours @ ours.mT - theirs @ theirs.mT).square()
        text = is_real.repeat_interleave(num_texts, dim=1)
        itself = torch.eye(text.shape[1], dtype=torch.bool, device=text.device)
        counts = text[:, :, None] & text[:, None] & ~itself
        means = (squares * counts).sum(dim=-1) / counts.sum(dim=-1).clamp_min(1)
        return means.sum() / num_texts
