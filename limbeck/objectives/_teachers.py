"""A fine-tuned teacher beside a student on the same task: where its outputs come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.losses import Loss
from limbeck.models import AnyModel, ModelConfig
from limbeck.nn import ModelOutput, to_device
from limbeck.objectives._alignment import Alignment
from limbeck.objectives._looks import Looks
from limbeck.tasks import PADDING, EncodedExamples, Task, TaskBatch, collate, restore_padding


class TeacherOutputs(Protocol):
    """Where a teacher's outputs come from."""

    def __call__(self, batch: TaskBatch, looks: Looks) -> tuple[ModelOutput | None, Tensor | None]:
        """Returns what losses look at for a batch, and the logits, as far as at hand."""


@dataclass(frozen=True, kw_only=True)
class TaskTeacher:
    """What a student learns from besides the labels.

    Attributes:
        config: The teacher's configuration; None for one that gives logits only.
        outputs: Gives the teacher's outputs.
        losses: Their settings by name. Those on logits compare `Task.distributions`, those on
            pooled vectors all sequences, the others all real tokens.
        alignment: Where both models' tokens stand, if their vocabularies differ and tokens are
            compared.
    """

    config: ModelConfig | None
    outputs: TeacherOutputs
    losses: Mapping[str, Loss]
    alignment: Alignment | None = None


class LiveTeacher:
    """Runs the teacher on each batch.

    Args:
        task: The task.
        model: The fine-tuned teacher, in eval mode on the student's device.
        rows: The training rows as the teacher reads them, in the student's order: with token types
            if its family has them.
        pad_token_id: Fills the end of shorter rows.
    """

    def __init__(
        self,
        task: Task,
        model: AnyModel,
        *,
        rows: EncodedExamples,
        pad_token_id: int,
    ) -> None:
        self._task = task
        self._model = model
        self._rows = rows
        self._pad_token_id = pad_token_id

    def __call__(self, batch: TaskBatch, looks: Looks) -> tuple[ModelOutput, Tensor]:
        """Returns the teacher's output for a batch, and its logits."""
        seen = collate(self._task, self._rows, batch.positions, pad_token_id=self._pad_token_id)
        seen = seen.to(batch.input_ids.device)
        with torch.no_grad():  # inference tensors can not take part in a backward pass
            output = self._model(**seen.inputs(), collect=looks.collect)
            return output, self._task.logits(output, seen)


class CachedTeacher:
    """Looks the teacher's logits up; it has nothing else of it.

    Args:
        look_up: From positions of training rows to their logits, without padding.
    """

    def __init__(self, look_up: Callable[[Sequence[int]], Sequence[Tensor]]) -> None:
        self._look_up = look_up

    def __call__(self, batch: TaskBatch, looks: Looks) -> tuple[None, Tensor]:  # noqa: ARG002
        """Returns None, and the teacher's logits."""
        rows = self._look_up(batch.positions)
        return None, to_device(restore_padding(rows), batch.input_ids.device)


class MeanTeacher:
    """Averages what several teachers say.

    Args:
        task: The task, which says how; of the student.
        members: Each teacher's outputs, and where its tokens and the student's stand if these
            differ and are scored.
        weights: How much each counts; they add up to 1.
    """

    def __init__(
        self,
        task: Task,
        members: Sequence[tuple[TeacherOutputs, Alignment | None]],
        weights: Sequence[float],
    ) -> None:
        self._task = task
        self._members = members
        self._weights = weights

    def __call__(self, batch: TaskBatch, looks: Looks) -> tuple[None, Tensor]:
        """Returns None, and the logits of all teachers together."""
        found = [self._ask(*member, batch, looks) for member in self._members]
        width = max(logits.shape[-1] for logits in found)  # a cache pads to its longest row only
        padded = [F.pad(each, (0, width - each.shape[-1]), value=PADDING) for each in found]
        return None, self._task.average(padded, self._weights)

    def _ask(
        self,
        outputs: TeacherOutputs,
        alignment: Alignment | None,
        batch: TaskBatch,
        looks: Looks,
    ) -> Tensor:
        _, logits = outputs(batch, looks)
        assert logits is not None
        if alignment is None:
            return logits
        return alignment.of(batch, with_states=False).to(logits.device).logits(logits)


class PooledTeacher:
    """Looks up the vectors of whole texts that a teacher has given; it has nothing else of it.

    Args:
        vectors: Those of the training rows.

    Shape:
        vectors: (rows, width).
    """

    def __init__(self, vectors: Tensor) -> None:
        self._vectors = vectors

    def __call__(self, batch: TaskBatch, looks: Looks) -> tuple[ModelOutput, None]:  # noqa: ARG002
        """Returns the vectors as those of texts of one token."""
        vectors = to_device(self._vectors[list(batch.positions)], batch.input_ids.device)
        return ModelOutput(last_hidden_state=vectors[:, None], pooler_output=vectors), None
