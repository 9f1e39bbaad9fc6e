"""Embeddings: vectors of whole texts against a teacher's, or against its scores of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.losses import Compared, GroupLoss, Loss, VectorLoss, Views
from limbeck.models import SentenceModel, VectorConfig
from limbeck.nn import to_device
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.tasks import EncodedExamples

ScoreBy: TypeAlias = Literal["cosine", "dot"]


@dataclass(frozen=True, kw_only=True)
class PaddedTexts:
    """Texts as token ids, padded to the longest of them.

    Attributes:
        input_ids: (texts, sequence) int64.
        attention_mask: As `input_ids`, 1 where real; None if nothing is padded.
        token_type_ids: As `input_ids`, or None for a family without them.
        num_tokens: Real tokens.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    num_tokens: int

    @classmethod
    def of(cls, texts: EncodedExamples, chosen: Sequence[int], *, pad_token_id: int) -> Self:
        """Pads some of the texts."""
        ids, lengths = texts.input_ids.pad(chosen, fill=pad_token_id)
        types = texts.token_type_ids
        mask = np.arange(ids.shape[-1]) < lengths[..., None]
        return cls(
            input_ids=torch.from_numpy(ids),
            attention_mask=None if mask.all() else torch.from_numpy(mask.astype(np.int64)),
            token_type_ids=None
            if types is None
            else torch.from_numpy(types.pad(chosen, fill=0)[0]),
            num_tokens=int(lengths.sum()),
        )

    def to(self, device: torch.device) -> Self:
        """Returns the texts on a device."""
        moved: dict[str, Any] = {name: to_device(t, device) for name, t in self.inputs().items()}
        return replace(self, **moved)

    def inputs(self) -> dict[str, Tensor]:
        """Returns the keyword arguments of a model's call."""
        given = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "token_type_ids": self.token_type_ids,
        }
        return {name: tensor for name, tensor in given.items() if tensor is not None}


@dataclass(frozen=True, kw_only=True)
class EmbeddingBatch:
    """Rows of data, each of one or more texts, and what the teacher says of them.

    Attributes:
        columns: The texts of all rows, place by place: the first of each row, the second, ...
        targets: The teacher's vectors, in the width that the student learns; None of a teacher
            that gives scores.
        whole: The same in the teacher's own width.
        scores: What it scores the first text of a row with each of the others; None of a teacher
            that gives vectors.

    Shape:
        targets, whole: (rows, texts of each, width).
        scores: (rows, texts of each - 1).
    """

    columns: tuple[PaddedTexts, ...]
    targets: Tensor | None
    whole: Tensor | None
    scores: Tensor | None

    @property
    def num_rows(self) -> int:
        """Rows of data."""
        return len(self.columns[0].input_ids)

    @property
    def num_tokens(self) -> int:
        """Real tokens that the student reads."""
        return sum(column.num_tokens for column in self.columns)

    def to(self, device: torch.device) -> Self:
        """Returns the batch on a device."""
        names = ("targets", "whole", "scores")
        given = {name: getattr(self, name) for name in names}
        moved: dict[str, Any] = {
            name: to_device(t, device) for name, t in given.items() if t is not None
        }
        return replace(self, columns=tuple(c.to(device) for c in self.columns), **moved)


@dataclass(frozen=True)
class CountedBatch:
    """A batch, and per term how many items it averages over."""

    batch: EmbeddingBatch
    counts: Mapping[str, int]

    def to(self, device: torch.device) -> CountedBatch:
        """Returns the same on a device."""
        return CountedBatch(self.batch.to(device), self.counts)


class EmbeddingObjective(nn.Module):
    """Weighted losses of a student's vectors, at one or several widths.

    Args:
        student: Trained; in train mode or not as the caller sets it.
        losses: Their settings by name.
        teacher_width: Width of the vectors that losses on vectors compare with.
        widths: Where the student's vectors are cut, each with a weight. Losses that compare texts
            with each other are taken at each, of the first so many numbers made one long again;
            losses against the teacher's vectors at the whole width alone, since the first numbers
            of the teacher's mean nothing by themselves.
        score_by: How the student scores a pair.

    Source:
        The widths: Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022, equation 1.
    """

    def __init__(
        self,
        student: SentenceModel,
        losses: Mapping[str, Loss],
        *,
        teacher_width: int,
        widths: Mapping[int, float] | None = None,
        score_by: ScoreBy = "cosine",
    ) -> None:
        super().__init__()
        self.student = student
        self.settings = dict(losses)
        ours, theirs = (VectorConfig(hidden_size=w) for w in (student.config.width, teacher_width))
        built = {name: loss.build(ours, theirs) for name, loss in losses.items()}
        self.losses = nn.ModuleDict(built).to(student.device)
        self._widths = dict(widths or {student.config.width: 1.0})
        self._score_by = score_by
        self._is_unit = student.config.is_unit

    def prepare(self, batch: EmbeddingBatch) -> CountedBatch:
        """Counts texts for losses on vectors, rows of data for those between texts."""
        counts = {
            name: batch.num_rows * (len(batch.columns) if isinstance(loss, VectorLoss) else 1)
            for name, loss in self.settings.items()
        }
        return CountedBatch(batch, counts)

    def forward(
        self, prepared: CountedBatch, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss and of each term."""
        batch = prepared.batch
        vectors = torch.stack([self.student(**c.inputs()) for c in batch.columns], dim=1)
        total = vectors.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, loss in self.settings.items():
            for title, weight, cut in self._cut(name, loss, vectors):
                share = self.losses[name](self._see(loss, cut, batch)) / counts[name]
                total = total + loss.weight * weight * share
                terms[title] = share.detach()
        return total, terms

    def _cut(self, name: str, loss: Loss, vectors: Tensor) -> Iterator[tuple[str, float, Tensor]]:
        """Yields the widths that a loss is taken at: what the term is called, weight, vectors."""
        whole = vectors.shape[-1]
        if isinstance(loss, VectorLoss):
            yield name, 1.0, vectors
            return
        for width, weight in self._widths.items():
            cut = vectors[..., :width]
            if width < whole and self._is_unit:
                cut = F.normalize(cut, dim=-1)
            yield (name if width == whole else f"{name}_{width}"), weight, cut

    def _see(self, loss: Loss, vectors: Tensor, batch: EmbeddingBatch) -> Compared:
        """Shows a loss what it compares."""
        if isinstance(loss, VectorLoss):
            assert batch.targets is not None
            ours = Views(pooled=vectors.flatten(0, 1))
            theirs = Views(pooled=batch.targets.flatten(0, 1))
        elif isinstance(loss, GroupLoss):
            assert batch.whole is not None
            ours, theirs = Views(pooled=vectors), Views(pooled=batch.whole)
        else:
            expected = batch.scores
            if expected is None:
                assert batch.whole is not None
                expected = score_pairs(batch.whole, by=self._score_by)
            ours = Views(scores=score_pairs(vectors, by=self._score_by))
            theirs = Views(scores=expected)
        labels = torch.full((batch.num_rows,), IGNORE_INDEX, device=vectors.device)
        return Compared(student=ours, teacher=theirs, labels=labels)


def score_pairs(vectors: Tensor, *, by: ScoreBy) -> Tensor:
    """Returns how alike the first text of each row is to each of the others.

    Shape:
        vectors: (rows, texts of each, width).
        result: (rows, texts of each - 1).
    """
    first, others = vectors[:, :1], vectors[:, 1:]
    if by == "cosine":
        return F.cosine_similarity(first, others, dim=-1)
    return (first * others).sum(dim=-1)
