"""The loss of a student on packed text, with or without a teacher, and its held-out figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.losses import Loss, Rows, sum_over_chunks
from limbeck.models import Model
from limbeck.nn import EncoderOutput
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.recipes._rows import at_least_float32, collected_for, rows_of


@dataclass(frozen=True, kw_only=True)
class _Positions:
    """Which flattened positions of a batch carry a label, and which are not padding.

    Shape:
        labels, masked, real: (batch * sequence,)
    """

    labels: Tensor
    masked: Tensor
    real: Tensor

    @classmethod
    def of(cls, batch: MaskedBatch) -> _Positions:
        labels = batch.labels.flatten()
        mask = batch.attention_mask
        real = torch.ones_like(labels, dtype=torch.bool)
        if mask is not None and mask.ndim == 2:
            real = mask.flatten().bool()
        return cls(labels=labels, masked=labels != IGNORE_INDEX, real=real)

    def select(self, loss: Loss) -> Tensor:
        return self.masked if loss.positions == "masked" else self.real


class LanguageModelObjective:
    """Weighted losses of a student, the vocabulary head running only on rows that carry one.

    Args:
        student: Trained; in train mode or not as the caller sets it.
        losses: By name.
        teacher: Run in inference mode; must be in eval mode. None if no loss needs one.
        chunk_rows: Most rows whose full-vocabulary logits exist at a time.
        freeze_body: Train the head alone: the encoder runs without gradient.
    """

    def __init__(
        self,
        student: Model,
        losses: Mapping[str, Loss],
        *,
        teacher: Model | None = None,
        chunk_rows: int = 1024,
        freeze_body: bool = False,
    ) -> None:
        self._student = student
        self._teacher = teacher
        self._losses = dict(losses)
        self._collect = collected_for(losses)
        self._chunk_rows = chunk_rows
        self._freeze_body = freeze_body

    def counts(self, batch: MaskedBatch) -> dict[str, int]:
        """Returns, per loss, the number of positions it averages over."""
        positions = _Positions.of(batch)
        return {name: int(positions.select(loss).sum()) for name, loss in self._losses.items()}

    def __call__(
        self, batch: MaskedBatch, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss and of each term."""
        positions = _Positions.of(batch)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._freeze_body):
            student = _encode(self._student, batch, collect=self._collect)
        teacher = None
        if self._teacher is not None:
            with torch.inference_mode():
                teacher = _encode(self._teacher, batch, collect=self._collect)
        # A loss whose count is 0 (no position masked in the whole step) adds nothing.
        scales = {name: 1 / max(count, 1) for name, count in counts.items()}
        terms: dict[str, Tensor] = {}
        hidden = _flat(student)
        total = hidden.new_zeros((), dtype=torch.promote_types(hidden.dtype, torch.float32))
        for name, loss in self._losses.items():
            if loss.needs != "logits":
                keep = positions.select(loss).nonzero().squeeze(1)
                labels = positions.labels[keep]
                rows = rows_of(loss, student=student, teacher=teacher, keep=keep, labels=labels)
                share = loss.sum(rows) * scales[name]
                terms[name] = share.detach()
                total = total + loss.weight * share
        total = total + self._vocabulary_terms(
            positions,
            scales,
            terms,
            student=hidden,
            teacher=None if teacher is None else _flat(teacher),
        )
        return total, terms

    def _vocabulary_terms(
        self,
        positions: _Positions,
        scales: Mapping[str, float],
        terms: dict[str, Tensor],
        *,
        student: Tensor,
        teacher: Tensor | None,
    ) -> Tensor:
        """Adds the losses on logits to `terms`; returns their weighted sum."""
        losses = {n: loss for n, loss in self._losses.items() if loss.needs == "logits"}
        selections = {name: positions.select(loss) for name, loss in losses.items()}
        if not losses:
            return student.new_zeros(())
        selected = torch.stack(list(selections.values())).any(dim=0).nonzero().squeeze(1)
        labels = positions.labels[selected]
        within = {name: selection[selected] for name, selection in selections.items()}
        everywhere = {name: bool(keep.all()) for name, keep in within.items()}
        teacher_rows = None if teacher is None else teacher[selected]
        needs_teacher = any(loss.uses_teacher for loss in losses.values())

        def chunk_loss(hidden: Tensor, rows: slice) -> Tensor:
            student_logits = at_least_float32(self._student.score(hidden))
            teacher_logits = None
            if teacher_rows is not None and self._teacher is not None and needs_teacher:
                with torch.no_grad():
                    teacher_logits = at_least_float32(self._teacher.score(teacher_rows[rows]))
            total = student_logits.new_zeros(())
            for name, loss in losses.items():
                chunk = Rows(student=student_logits, teacher=teacher_logits, labels=labels[rows])
                if not everywhere[name]:
                    chunk = _keep(chunk, within[name][rows])
                share = loss.sum(chunk) * scales[name]
                terms[name] = terms.get(name, 0.0) + share.detach()
                total = total + loss.weight * share
            return total

        result = sum_over_chunks(
            chunk_loss,
            student[selected],
            parameters=list(self._student.parameters()),
            chunk_rows=self._chunk_rows,
        )
        for name in losses:  # a batch without a single such position
            terms.setdefault(name, result.new_zeros(()))
        return result


@torch.inference_mode()
def evaluate_language_model(
    student: Model,
    batches: Iterable[MaskedBatch],
    *,
    teacher: Model | None = None,
    device: torch.device,
    chunk_rows: int = 1024,
) -> dict[str, float]:
    """Measures a student on held-out text, both models in eval mode.

    Returns:
        `mlm_loss` (nats per masked token), `mlm_accuracy`, and with a teacher
        `teacher_mlm_loss`, `teacher_mlm_accuracy`, `kl_to_teacher` (nats, temperature 1) and
        `teacher_agreement` (share of equal top-1 predictions) over masked positions, `cosine`
        over all real ones.
    """
    was_training = student.training
    student.eval()
    sums: defaultdict[str, float] = defaultdict(float)
    num_masked = num_real = 0
    for batch in batches:
        batch = batch.to(device)
        positions = _Positions.of(batch)
        rows = positions.masked.nonzero().squeeze(1)
        num_masked += len(rows)
        num_real += int(positions.real.sum())
        student_hidden = _flat(_encode(student, batch))
        teacher_hidden = None if teacher is None else _flat(_encode(teacher, batch))
        if teacher_hidden is not None and teacher_hidden.shape == student_hidden.shape:
            cosines = F.cosine_similarity(student_hidden, teacher_hidden, dim=-1)
            sums["cosine"] += float(cosines[positions.real].sum())
        for chunk in torch.split(rows, chunk_rows):
            labels = positions.labels[chunk]
            logits = at_least_float32(student.score(student_hidden[chunk]))
            figures = _mlm_sums(logits, labels, prefix="")
            if teacher is not None and teacher_hidden is not None:
                expected = at_least_float32(teacher.score(teacher_hidden[chunk]))
                figures |= _mlm_sums(expected, labels, prefix="teacher_")
                figures |= _agreement_sums(logits, expected)
            for name, value in figures.items():
                sums[name] += value
    student.train(was_training)
    return {
        name: value / max(num_real if name == "cosine" else num_masked, 1)
        for name, value in sums.items()
    }


def _mlm_sums(logits: Tensor, labels: Tensor, *, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}mlm_loss": float(F.cross_entropy(logits, labels, reduction="sum")),
        f"{prefix}mlm_accuracy": float((logits.argmax(-1) == labels).sum()),
    }


def _agreement_sums(student: Tensor, teacher: Tensor) -> dict[str, float]:
    log_student, log_teacher = student.log_softmax(-1), teacher.log_softmax(-1)
    divergence = F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return {
        "kl_to_teacher": float(divergence),
        "teacher_agreement": float((student.argmax(-1) == teacher.argmax(-1)).sum()),
    }


def _encode(
    model: Model, batch: MaskedBatch, *, collect: frozenset[str] = frozenset()
) -> EncoderOutput:
    return model.encode(
        batch.input_ids, batch.attention_mask, position_ids=batch.position_ids, collect=collect
    )


def _flat(output: EncoderOutput) -> Tensor:
    """Returns the last hidden state, (batch * sequence, hidden_size)."""
    return output.last_hidden_state.flatten(0, 1)


def _keep(rows: Rows, keep: Tensor) -> Rows:
    return Rows(
        student=rows.student[keep],
        teacher=None if rows.teacher is None else rows.teacher[keep],
        labels=rows.labels[keep],
    )
