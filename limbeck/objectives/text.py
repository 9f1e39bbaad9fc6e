"""Text: a student's losses on packed rows, the vocabulary head running where one looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.losses import Compared, Loss, Views, sum_over_chunks
from limbeck.models import AnyModel, Model
from limbeck.nn import at_least_float32
from limbeck.objectives._objective import Objective, Prepared, Share
from limbeck.objectives._text_rows import TextRows, encode, flatten_states


class TextObjective(Objective[MaskedBatch, TextRows]):
    """Weighted losses of a student on masked text, with or without a teacher.

    Args:
        student: Trained; in train mode or not as the caller sets it.
        losses: Their settings by name.
        teacher: Run without gradient; must be in eval mode. None if no loss needs one.
        chunk_rows: Most rows whose full-vocabulary logits exist at a time.
        freeze_body: Train the head alone: the encoder runs without gradient.
    """

    def __init__(
        self,
        student: Model,
        losses: Mapping[str, Loss],
        *,
        teacher: AnyModel | None = None,
        chunk_rows: int = 1024,
        freeze_body: bool = False,
    ) -> None:
        super().__init__(student, losses, teacher=None if teacher is None else teacher.config)
        # In a tuple, so that torch neither trains nor saves the teacher with the student.
        self._teacher = (teacher,)
        self._chunk_rows = chunk_rows
        self._freeze_body = freeze_body

    def prepare(self, batch: MaskedBatch) -> Prepared[MaskedBatch, TextRows]:
        """Finds the positions of each loss and counts them; of a loss on whole texts, rows."""
        losses = self.settings
        rows = TextRows.of(batch, losses.values(), chunk_rows=self._chunk_rows)
        counts = {
            name: len(batch) if loss.counts_texts else len(rows.positions[loss.positions])
            for name, loss in losses.items()
        }
        return Prepared(batch=batch, rows=rows, counts=counts)

    def shares(
        self, prepared: Prepared[MaskedBatch, TextRows], counts: Mapping[str, int]
    ) -> Iterator[Share]:
        """Yields the share of each loss on hidden states, then that of all on logits."""
        batch, rows = prepared.batch, prepared.rows
        labels = batch.labels.flatten()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._freeze_body):
            student = encode(self.student, batch, looks=self.of_student)
        # Before the losses: gradients add up in the order of what was computed last, to the bit.
        hidden = flatten_states(student)
        (teacher_model,) = self._teacher
        teacher = None
        if teacher_model is not None:
            with torch.no_grad():
                teacher = encode(teacher_model, batch, looks=self.of_teacher)
        # A loss whose count is 0 (no position masked in the whole step) adds nothing.
        scales = {name: 1 / max(count, 1) for name, count in counts.items()}
        for name, loss in self.settings.items():
            if "logits" not in loss.needs:
                positions = rows.positions[loss.positions]
                seen = Compared(
                    student=self.of_student.views(name, loss.needs, student),
                    teacher=self.of_teacher.views(name, loss.needs, teacher),
                    labels=labels[positions],
                    positions=positions,
                    attention_mask=batch.attention_mask,
                )
                yield self.weigh(name, self.losses[name](seen) * scales[name])
        on_logits = {name: loss for name, loss in self.settings.items() if "logits" in loss.needs}
        if on_logits:
            yield self._vocabulary_share(
                on_logits,
                rows,
                scales,
                labels=labels[rows.scored],
                student=hidden,
                teacher=None if teacher is None else flatten_states(teacher),
            )

    def _vocabulary_share(
        self,
        losses: Mapping[str, Loss],
        rows: TextRows,
        scales: Mapping[str, float],
        *,
        labels: Tensor,
        student: Tensor,
        teacher: Tensor | None,
    ) -> Share:
        """Runs both heads chunk by chunk, where one of some losses looks, and adds these up."""
        teacher = None if teacher is None else teacher[rows.scored]
        needs_teacher = any(loss.uses_teacher for loss in losses.values())
        (teacher_model,) = self._teacher
        terms: dict[str, Tensor] = {}

        def chunk_loss(hidden: Tensor, chunk: slice) -> Tensor:
            ours = at_least_float32(self.student.score(hidden))
            theirs = None
            if teacher is not None and teacher_model is not None and needs_teacher:
                with torch.no_grad():
                    theirs = at_least_float32(teacher_model.score(teacher[chunk]))
            kept = rows.chunks[chunk.start // self._chunk_rows]
            total = ours.new_zeros(())
            for name, loss in losses.items():
                seen = _see_logits(ours, theirs, labels[chunk], keep=kept[loss.positions])
                share = self.losses[name](seen) * scales[name]
                terms[name] = terms.get(name, 0.0) + share.detach()
                total = total + loss.weight * share
            return total

        weighted = sum_over_chunks(
            chunk_loss,
            student[rows.scored],
            parameters=list(self.parameters()),
            chunk_rows=self._chunk_rows,
        )
        for name in losses:  # a batch without a single such position
            terms.setdefault(name, weighted.new_zeros(()))
        return Share(weighted=weighted, terms=terms)


def _see_logits(
    student: Tensor, teacher: Tensor | None, labels: Tensor, *, keep: Tensor | None
) -> Compared:
    """Shows a loss both models' logits, at some of the rows if it does not run over all."""
    if keep is not None:
        student, labels = student[keep], labels[keep]
        teacher = None if teacher is None else teacher[keep]
    return Compared(
        student=Views(logits=student),
        teacher=Views() if teacher is None else Views(logits=teacher),
        labels=labels,
    )
