"""What a student learns of rows: its teacher's vectors in its own width, or scores from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.objectives import EmbeddingBatch, PaddedTexts
from limbeck.recipes.distill_embeddings.rows import Numbers, TextRows
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.distill_embeddings.teachers import Teacher, VectorTeacher, taught_texts
from limbeck.recipes.finetune.teacher_cache import TeacherCache
from limbeck.tasks import EncodedExamples
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Targets:
    """A teacher's vectors or scores, looked up by rows.

    Attributes:
        vectors: Of the texts that it read, on the disk; None of a cross-encoder.
        places: Where among them each text stands, -1 for one that it did not read.
        reduce: Turns its vectors into the student's width; None where they stay.
        is_unit: Whether its vectors are one long, and stay so when they are turned.
        is_parallel: Whether all texts of a row are to get the vector of the first.
        scores: Of the rows by their texts' numbers; None of an encoder of sentences.

    Shape:
        places: (texts,).
        reduce: (width, the student's width).
    """

    vectors: TeacherCache | None
    places: Numbers
    reduce: Tensor | None
    is_unit: bool
    is_parallel: bool
    scores: dict[tuple[int, ...], Tensor] | None

    @classmethod
    def find(
        cls,
        settings: DistillEmbeddingsSettings,
        teacher: Teacher,
        rows: TextRows,
        *,
        reduce_to: int | None,
        progress: Progress,
    ) -> Targets:
        """Asks the teacher, or reads what it said before.

        Args:
            settings: Of the run.
            teacher: Not loaded yet.
            rows: All of them.
            reduce_to: The student's width, if the teacher's vectors are made that narrow.
            progress: Where it reports.
        """
        said = teacher.teach(rows, progress)
        is_parallel = settings.rows == "parallel"
        if not isinstance(teacher, VectorTeacher):
            pairs = torch.stack(said.rows(range(rows.rows.size - len(rows.rows))))
            scaled = _scale(pairs.reshape(len(rows.rows), -1), settings)
            scores = {
                tuple(row): score for row, score in zip(rows.rows.tolist(), scaled, strict=True)
            }
            return cls(
                vectors=None,
                places=np.zeros(0, dtype=np.int64),
                reduce=None,
                is_unit=False,
                is_parallel=is_parallel,
                scores=scores,
            )
        places = np.full(len(rows.texts), -1, dtype=np.int64)
        taught = taught_texts(settings, rows)
        places[taught] = np.arange(len(taught))
        reduce = None
        if reduce_to is not None:
            step = -(-len(taught) // settings.projection_texts)
            reduce = fit_pca(torch.stack(said.rows(range(0, len(taught), step))), reduce_to)
        return cls(
            vectors=said,
            places=places,
            reduce=reduce,
            is_unit=teacher.sentence.is_unit,
            is_parallel=is_parallel,
            scores=None,
        )

    def of(self, rows: Numbers) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Returns vectors in the student's width, in the teacher's own, and scores of rows.

        Shape:
            rows: (rows, texts of each).
            result: (rows, texts of each, width), the same of the other width, and
                (rows, texts of each - 1).
        """
        if self.scores is not None:
            return None, None, torch.stack([self.scores[tuple(row)] for row in rows.tolist()])
        assert self.vectors is not None
        read = np.repeat(rows[:, :1], rows.shape[1], axis=1) if self.is_parallel else rows
        found = torch.stack(self.vectors.rows(self.places[read].flatten().tolist()))
        whole = found.reshape(*read.shape, -1)
        return self.narrow(whole), whole, None

    def narrow(self, vectors: Tensor) -> Tensor:
        """Returns the teacher's vectors in the student's width; those one long stay so."""
        if self.reduce is None:
            return vectors
        found = vectors @ self.reduce
        return F.normalize(found, dim=-1) if self.is_unit else found


def fit_pca(vectors: Tensor, width: int) -> Tensor:
    """Returns the turn of vectors whose first numbers keep their products best.

    The principal axes are those through the origin, not through the mean: what is compared is the
    angle, and taking the mean off would change it.

    Shape:
        vectors: (texts, wide).
        result: (wide, width).

    Source:
        Eckart, Young, "The approximation of one matrix by another of lower rank", 1936.
    """
    double = vectors.double()
    _, axes = torch.linalg.eigh(double.T @ double)
    kept = axes.flip(1)[:, :width]
    # An axis has no direction; the largest number in it decides, so that equal vectors give equal
    # axes everywhere.
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    found: Tensor = (kept * largest.sign()).float()
    return found


def make_batch(
    texts: EncodedExamples, rows: Numbers, targets: Targets, *, pad_token_id: int
) -> EmbeddingBatch:
    """Returns rows as a batch.

    Args:
        texts: All texts, as the student reads them.
        rows: Numbers of the texts of each row.
        targets: What is learned.
        pad_token_id: Fills the end of shorter texts.

    Shape:
        rows: (rows, texts of each).
    """
    narrow, whole, scores = targets.of(rows)
    columns = (PaddedTexts.of(texts, c.tolist(), pad_token_id=pad_token_id) for c in rows.T)
    return EmbeddingBatch(columns=tuple(columns), targets=narrow, whole=whole, scores=scores)


def _scale(scores: Tensor, settings: DistillEmbeddingsSettings) -> Tensor:
    """Returns a cross-encoder's scores so that similarities can equal them.

    Raises:
        SettingsError: If all scores are the same, or the range is none.
    """
    given: Sequence[float] = settings.score_range or (float(scores.min()), float(scores.max()))
    low, high = given
    if not low < high:
        raise SettingsError(
            f"the teacher {settings.teacher} gives every pair the score {low:g}, of which nothing "
            "can be learned; accepted: a teacher that tells pairs apart, or score_range=LOW,HIGH"
        )
    return (scores - low) / (high - low)
