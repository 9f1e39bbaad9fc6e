"""Similarity KL: which texts of its group a text is most like, against the teacher's view."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from limbeck.losses._pooled import GroupLoss


class Loss(GroupLoss):
    """KL( softmax(cos_T / τ) ‖ softmax(cos_S / τ) ) over the others of a text's group.

    Where a row of data has several texts, such as question and passage, the first is compared with
    the others of all rows: contrastive learning whose labels are the teacher's similarities.

    Source:
        Fang et al., "SEED: Self-supervised Distillation for Visual Representation", ICLR 2021,
        section 3.2, with a group in place of the queue; the candidates of pairs as in Henderson et
        al., "Efficient Natural Language Response Suggestion for Smart Reply", 2017, section 4.4.
    """

    temperature: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    """Cosines are divided by this. The smaller it is, the more the nearest texts count."""

    def compare(self, student: Tensor, teacher: Tensor, is_real: Tensor) -> Tensor:
        """Returns the sum over rows of data."""
        num_texts = student.shape[2]
        if num_texts == 1:
            itself = torch.eye(is_real.shape[1], dtype=torch.bool, device=is_real.device)
            candidates = is_real[:, None] & ~itself
        else:
            candidates = is_real.repeat_interleave(num_texts - 1, dim=1)[:, None]
        # A row without candidates, which has a group for itself, has nothing to be unlike.
        counts = is_real & candidates.any(dim=-1)
        ours, theirs = (self._log_shares(unit, candidates) for unit in (student, teacher))
        divergence = (theirs.exp() * (ours - theirs).neg() * candidates).sum(dim=-1)
        return (divergence * counts).sum()

    def _log_shares(self, unit: Tensor, candidates: Tensor) -> Tensor:
        others = unit[:, :, 1:] if unit.shape[2] > 1 else unit
        cosines = unit[:, :, 0] @ others.flatten(1, 2).mT
        # No infinity, of which 0 times would be no number.
        masked = (cosines / self.temperature).masked_fill(~candidates, -1e9)
        return F.log_softmax(masked, dim=-1)
