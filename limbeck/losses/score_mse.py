"""Score MSE: how alike a pair of texts is to the student, against what the teacher scores it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from limbeck.losses._base import PlainLoss
from limbeck.losses._pooled import EMBEDDINGS
from limbeck.losses._views import Compared, View


class Loss(PlainLoss):
    """Mean over a row's pairs of (s_S - s_T)², s the score of its first text with another.

    The teacher may be a cross-encoder, which reads both texts at once, or an encoder of sentences.

    Source:
        Thakur et al., "Augmented SBERT", NAACL 2021, section 3.1; the squared difference of a
        cosine: Reimers, Gurevych, "Sentence-BERT", EMNLP 2019, section 3.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"scores"})
    recipe: ClassVar[str | None] = EMBEDDINGS

    def sum(self, seen: Compared) -> Tensor:
        """Returns the sum over rows of data."""
        return (seen.student.scores - seen.teacher.scores).square().mean(dim=-1).sum()
