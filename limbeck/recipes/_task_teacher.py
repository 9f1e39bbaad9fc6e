"""A fine-tuned teacher beside a student on the same task: what the student learns from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.losses import Loss, Rows
from limbeck.models import Model
from limbeck.nn import ModelOutput
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.recipes._rows import collected_for, rows_of
from limbeck.tasks import PADDING, EncodedExample, Task, TaskBatch, collate, restore_padding

if TYPE_CHECKING:
    from limbeck.recipes.finetune.teacher_cache import TeacherCache


class TeacherOutputs(Protocol):
    """Where a teacher's outputs come from."""

    def __call__(self, batch: TaskBatch) -> tuple[ModelOutput | None, Tensor]:
        """Returns all that the teacher gives for a batch, if it is at hand, and its logits."""


class LiveTeacher:
    """Runs the teacher on each batch.

    Args:
        task: The task.
        model: The fine-tuned teacher, in eval mode on the student's device.
        rows: The training rows as the teacher reads them, in the student's order: with token types
            if its family has them.
        pad_token_id: Fills the end of shorter rows.
        collect: What the losses need besides the model's outputs.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        *,
        rows: Sequence[EncodedExample],
        pad_token_id: int,
        collect: frozenset[str],
    ) -> None:
        self._task = task
        self._model = model
        self._rows = rows
        self._pad_token_id = pad_token_id
        self._collect = collect

    def __call__(self, batch: TaskBatch) -> tuple[ModelOutput, Tensor]:
        """Returns the teacher's output for a batch, and its logits."""
        seen = collate(self._task, self._rows, batch.positions, pad_token_id=self._pad_token_id)
        seen = seen.to(batch.input_ids.device)
        with torch.no_grad():  # inference tensors can not take part in a backward pass
            output = self._model(**seen.inputs(), collect=self._collect)
            return output, self._task.logits(output, batch)


class CachedTeacher:
    """Looks the teacher's logits up; it has nothing else of it.

    Args:
        cache: A filled cache of the training rows' logits.
    """

    def __init__(self, cache: TeacherCache) -> None:
        self._cache = cache

    def __call__(self, batch: TaskBatch) -> tuple[None, Tensor]:
        """Returns None, and the teacher's logits."""
        rows = self._cache.rows(batch.positions)
        return None, restore_padding(rows).to(batch.input_ids.device)


class TaskTeacher:
    """Losses of a student's outputs against a teacher's, on the task's own batches.

    Args:
        task: The task, which says what rows of logits are compared.
        outputs: Gives the teacher's outputs.
        losses: By name. Those on logits compare `Task.distributions`, the others all real tokens.
    """

    def __init__(self, task: Task, outputs: TeacherOutputs, losses: Mapping[str, Loss]) -> None:
        self._task = task
        self._outputs = outputs
        self._losses = dict(losses)
        self.collect = collected_for(losses)
        """What the student has to collect besides its outputs."""

    def counts(self, batch: TaskBatch) -> dict[str, int]:
        """Returns what each loss is averaged over: rows of logits, or real tokens."""
        return {
            name: self._task.num_distributions(batch)
            if loss.needs == "logits"
            else batch.num_tokens
            for name, loss in self._losses.items()
        }

    def terms(
        self, output: ModelOutput, logits: Tensor, batch: TaskBatch, counts: Mapping[str, int]
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Yields each loss's name, weight and share of the step's mean."""
        expected, expected_logits = self._outputs(batch)
        # A cache pads only to the longest of its rows.
        missing = logits.shape[-1] - expected_logits.shape[-1]
        expected_logits = F.pad(expected_logits, (0, missing), value=PADDING)
        keep = batch.mask().flatten().nonzero().squeeze(1)
        for name, loss in self._losses.items():
            if loss.needs == "logits":
                rows = Rows(
                    student=self._task.distributions(logits, batch),
                    teacher=self._task.distributions(expected_logits, batch),
                    labels=_no_labels(self._task.num_distributions(batch), logits),
                )
            else:
                labels = _no_labels(len(keep), logits)
                rows = rows_of(loss, student=output, teacher=expected, keep=keep, labels=labels)
            yield name, loss.weight, loss.sum(rows) / max(counts[name], 1)


def _no_labels(count: int, like: Tensor) -> Tensor:
    return torch.full((count,), IGNORE_INDEX, device=like.device)
