"""Task: the loss against a task's labels, and losses against a teacher fine-tuned on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.losses import Compared, Loss, Views
from limbeck.models import Model
from limbeck.nn import to_device
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.objectives._alignment import AlignedBatch
from limbeck.objectives._objective import Objective, Prepared, Share
from limbeck.objectives._teachers import TaskTeacher
from limbeck.tasks import PADDING, Task, TaskBatch

_LABELS = "task"
"""What the loss against the labels is called among the terms."""
_PENALTY = "penalty"
"""What a penalty on the model's weights is called among the terms."""
_OF_TOKENS = frozenset({"last_hidden_state", "hidden_states"})
_EXAMPLES, _LABELLED = "examples", "labelled examples"
"""What else is counted over a step: how much of it the labels speak for."""


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """Which rows of a batch the losses against a teacher run over.

    Attributes:
        real: Flattened positions of real tokens; None without a loss on their states.
        counted: Which of the task's distributions count; None for all.
        aligned: Where both models' tokens stand, if their vocabularies differ.

    Shape:
        real, counted: (rows,)
    """

    real: Tensor | None
    counted: Tensor | None
    aligned: AlignedBatch | None = None

    def to(self, device: torch.device) -> Self:
        """Returns the rows on a device."""
        return type(self)(
            real=None if self.real is None else to_device(self.real, device),
            counted=None if self.counted is None else to_device(self.counted, device),
            aligned=None if self.aligned is None else self.aligned.to(device),
        )


class TaskObjective(Objective[TaskBatch, TaskRows]):
    """The task's loss against its labels, and with a teacher the losses against its outputs.

    The labels' loss is the mean over the labelled examples of a step, times their share of it:
    without labels for the others, a label counts as much as it would in their midst if all had
    one. So `label_weight` is what a label counts beside what the teacher says of the same example,
    at every ratio of labelled to unlabelled examples and every batch size.

    Args:
        task: The task, which says what rows of logits are compared.
        model: What is trained.
        teacher: What it learns from besides the labels.
        label_weight: Weight of the loss against the labels; None leaves it out, so that a head at
            which no other loss looks stays as it is.
        penalty: Returns what a step's loss is more by, whatever its examples are, a scalar; or
            None.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        *,
        teacher: TaskTeacher | None = None,
        label_weight: float | None = 1.0,
        penalty: Callable[[], Tensor | None] | None = None,
    ) -> None:
        losses = {} if teacher is None else teacher.losses
        super().__init__(model, losses, teacher=None if teacher is None else teacher.config)
        self._task = task
        self._teacher = teacher
        self._label_weight = label_weight
        self._penalty = penalty

    def prepare(self, batch: TaskBatch) -> Prepared[TaskBatch, TaskRows]:
        """Finds what each term is averaged over: labels, rows of logits, or real tokens."""
        is_labelled = batch.labels is not None
        on_logits = ["logits" in loss.needs for loss in self.settings.values()]
        on_tokens = any(loss.needs & _OF_TOKENS for loss in self.settings.values())
        aligned = None
        if self._teacher is not None and self._teacher.alignment is not None:
            aligned = self._teacher.alignment.of(batch, with_states=on_tokens)
        real = None if all(on_logits) else _find_real(batch, aligned)
        counts = {
            _LABELS: self._task.loss_count(batch) if is_labelled else 0,
            _EXAMPLES: batch.num_examples,
            _LABELLED: batch.num_examples if is_labelled else 0,
            **{name: self._num_rows(loss, batch, real) for name, loss in self.settings.items()},
        }
        rows = TaskRows(
            real=real,
            counted=self._task.counted(batch) if any(on_logits) else None,
            aligned=aligned,
        )
        return Prepared(batch=batch, rows=rows, counts=counts)

    def shares(
        self, prepared: Prepared[TaskBatch, TaskRows], counts: Mapping[str, int]
    ) -> Iterator[Share]:
        """Yields the shares of the labels' loss, each loss against the teacher, and the penalty."""
        batch, rows = prepared.batch, prepared.rows
        output = self.student(**batch.inputs(), collect=self.of_student.collect)
        logits = self._task.logits(output, batch)
        if self._label_weight is not None:
            yield self._label_share(logits, batch, counts, weight=self._label_weight)
        if self._teacher is not None:
            expected, expected_logits = self._teacher.outputs(batch, self.of_teacher)
            if rows.aligned is not None:
                expected = rows.aligned.states(expected)
            if expected_logits is not None:
                if rows.aligned is not None:
                    expected_logits = rows.aligned.logits(expected_logits)
                # A cache pads only to the longest of its rows.
                missing = logits.shape[-1] - expected_logits.shape[-1]
                expected_logits = F.pad(expected_logits, (0, missing), value=PADDING)
            for name, loss in self.settings.items():
                if "logits" in loss.needs:
                    assert expected_logits is not None
                    seen = self._see_logits(logits, expected_logits, rows)
                else:
                    assert rows.real is not None
                    seen = Compared(
                        student=self.of_student.views(name, loss.needs, output),
                        teacher=self.of_teacher.views(name, loss.needs, expected),
                        labels=_no_labels(len(rows.real), rows.real),
                        positions=rows.real,
                        attention_mask=batch.mask().flatten(0, -2),  # each choice is a sequence
                    )
                yield self.weigh(name, self.losses[name](seen) / max(counts[name], 1))
        penalty = None if self._penalty is None else self._penalty()
        if penalty is not None:
            # Of a step's micro-batches each has its part, so that it counts once whatever they are.
            share = penalty * (batch.num_examples / counts[_EXAMPLES])
            yield Share(weighted=share, terms={_PENALTY: share.detach()})

    def _label_share(
        self, logits: Tensor, batch: TaskBatch, counts: Mapping[str, int], *, weight: float
    ) -> Share:
        if batch.labels is None:
            nothing = logits.new_zeros(())
            return Share(weighted=nothing, terms={_LABELS: nothing})
        share = self._task.loss_sum(logits, batch) / max(counts[_LABELS], 1)
        share = share * (counts[_LABELLED] / counts[_EXAMPLES])
        return Share(weighted=weight * share, terms={_LABELS: share.detach()})

    def _num_rows(self, loss: Loss, batch: TaskBatch, real: Tensor | None) -> int:
        if "logits" in loss.needs:
            return self._task.num_distributions(batch)
        if loss.counts_texts:
            return batch.input_ids.shape[:-1].numel()
        assert real is not None
        return len(real)

    def _see_logits(self, student: Tensor, teacher: Tensor, rows: TaskRows) -> Compared:
        ours = self._task.distributions(student, rows.counted)
        return Compared(
            student=Views(logits=ours),
            teacher=Views(logits=self._task.distributions(teacher, rows.counted)),
            labels=_no_labels(len(ours), student),
        )


def _find_real(batch: TaskBatch, aligned: AlignedBatch | None) -> Tensor:
    """Returns the flattened places of real tokens, those alone that the teacher has states for."""
    is_real = batch.mask() == 1
    if aligned is not None and aligned.weights is not None:
        is_real = is_real & aligned.known()
    return is_real.flatten().nonzero().squeeze(1)


def _no_labels(count: int, like: Tensor) -> Tensor:
    return torch.full((count,), IGNORE_INDEX, device=like.device)
