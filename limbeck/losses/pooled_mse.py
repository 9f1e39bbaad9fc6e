"""Pooled MSE: squared distance of the student's vector of a whole text from the teacher's."""

from __future__ import annotations

from torch import Tensor

from limbeck.losses._pooled import VectorLoss


class Loss(VectorLoss):
    """‖W p_S - p_T‖², p the pooled vectors; W is learned where their widths differ.

    A text counts as one row. The squares are added up over the width: of vectors of length 1 the
    loss is 2 (1 - cos), whatever their width. W is no part of the saved model.

    Source:
        Reimers, Gurevych, "Making Monolingual Sentence Embeddings Multilingual", 2020, equation 1.
        W is that of Jiao et al., "TinyBERT", 2020, equation 8.
    """

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the sum over rows."""
        return (student - teacher).square().sum()
