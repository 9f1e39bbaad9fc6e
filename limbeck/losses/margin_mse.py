"""Margin MSE: by how much a passage is preferred to another, against the teacher's margin."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._pooled import EMBEDDINGS
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """((s_S⁺ - s_S⁻) - (s_T⁺ - s_T⁻))², s the score of a query with a passage; mean over s⁻.

    Only differences count, so that the student need not learn the level of the teacher's scores.

    Source:
        Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture
        Knowledge Distillation", 2020, equation 6 (Margin-MSE).
    """

    needs: ClassVar[frozenset[View]] = frozenset({"scores"})
    recipe: ClassVar[str | None] = EMBEDDINGS

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of data."""
        margins = [
            scores[:, :1] - scores[:, 1:] for scores in (seen.student.scores, seen.teacher.scores)
        ]
        return (margins[0] - margins[1]).square().mean(dim=-1).sum()
