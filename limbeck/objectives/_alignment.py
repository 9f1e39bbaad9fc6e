"""A teacher with another vocabulary: what it gives for its tokens, for the student's.

What both models read are the same characters, divided in two ways. A hidden state of the student
is compared with the mean of the teacher's at the tokens that share its characters, each by how many
it shares (`share_characters`); a token whose characters the teacher has not read is not compared.
Logits of a text as a whole need none of this; those of tokens are laid anew by their task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from limbeck.errors import DataError
from limbeck.nn import ModelOutput, to_device
from limbeck.tasks import BatchSpans, Spans, Task, TaskBatch, share_characters

_ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class Alignment:
    """Where the tokens of all training rows stand, of both models.

    Attributes:
        task: Whose rows they are.
        student: The student's.
        teacher: The teacher's, row by row the same texts.
    """

    task: Task
    student: Spans
    teacher: Spans

    def require_common(self, names: Sequence[str]) -> None:
        """Refuses rows of which the two have read nothing in common.

        Args:
            names: What each row is called in a message.

        Raises:
            DataError: Names the first such row.
        """
        for start in range(0, len(self.student), _ROWS_AT_A_TIME):
            chosen = range(start, min(start + _ROWS_AT_A_TIME, len(self.student)))
            student, teacher = self.student.batch(chosen), self.teacher.batch(chosen)
            is_common = share_characters(student, teacher).sum(dim=(1, 2)) > 0
            is_common &= ~student.lack_words(teacher)
            if not is_common.all():
                place = int((~is_common).nonzero()[0])
                raise DataError(
                    f"{names[start + place]}: the student's {student.count(place)} tokens and the "
                    f"teacher's {teacher.count(place)} can't be laid side by side, since the "
                    "teacher's vocabulary has no piece of the text, or of a word; remove the row, "
                    "or choose another teacher"
                )

    def of(self, batch: TaskBatch, *, with_states: bool) -> AlignedBatch:
        """Returns what is needed for a batch that is on the CPU."""
        student = self.student.batch(batch.positions)
        teacher = self.teacher.batch(batch.positions)
        weights = share_characters(student, teacher) if with_states else None
        return AlignedBatch(task=self.task, student=student, teacher=teacher, weights=weights)


@dataclass(frozen=True, kw_only=True)
class AlignedBatch:
    """A batch's tokens, the student's beside the teacher's.

    Attributes:
        task: Whose rows they are.
        student: Where the student's stand.
        teacher: Where the teacher's do.
        weights: How much each of the teacher's counts for each of the student's; None where no
            states are compared.

    Shape:
        weights: (batch, student's tokens, teacher's tokens).
    """

    task: Task
    student: BatchSpans
    teacher: BatchSpans
    weights: Tensor | None

    def to(self, device: torch.device) -> Self:
        """Returns the same on a device."""
        return replace(
            self,
            student=self.student.to(device),
            teacher=self.teacher.to(device),
            weights=None if self.weights is None else to_device(self.weights, device),
        )

    def known(self) -> Tensor:
        """Returns whether the teacher has a state for each of the student's tokens."""
        assert self.weights is not None
        return self.weights.sum(dim=-1) > 0

    def logits(self, logits: Tensor) -> Tensor:
        """Returns the teacher's logits for the student's tokens."""
        return self.task.realign(logits, self.student, self.teacher)

    def states(self, output: ModelOutput | None) -> ModelOutput | None:
        """Returns the teacher's output with states for the student's tokens."""
        if output is None or self.weights is None:
            return output
        weights = self.weights.to(output.last_hidden_state.dtype)
        pooled = output.pooler_output
        return ModelOutput(
            last_hidden_state=weights @ output.last_hidden_state,
            pooler_output=output.last_hidden_state[:, 0] if pooled is None else pooled,
            hidden_states=None
            if output.hidden_states is None
            else tuple(_align(weights, states) for states in output.hidden_states),
        )


def _align(weights: Tensor, states: Tensor) -> Tensor:
    """Returns the teacher's states for the student's tokens.

    The first token is most often one that stands for the text and has no characters: for what looks
    at it alone, its state is that of the teacher's first.
    """
    aligned = weights @ states
    has_own = weights[:, 0].sum(dim=-1, keepdim=True) > 0
    first = torch.where(has_own, aligned[:, 0], states[:, 0])
    return torch.cat([first[:, None], aligned[:, 1:]], dim=1)
