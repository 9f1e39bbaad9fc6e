"""A fine-tuned teacher beside a student on the same task: what the student learns from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.losses import Loss, Rows
from limbeck.models import Model
from limbeck.nn import ModelOutput
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.tasks import Task, TaskBatch


class TaskTeacher:
    """Losses of a student's outputs against a teacher's, on the task's own batches.

    Args:
        task: The task, which says what rows of logits are compared.
        model: The fine-tuned teacher, in eval mode on the student's device.
        losses: By name. Those on logits compare `Task.distributions`, those on hidden states all
            real tokens.

    Raises:
        SettingsError: If a loss does not fit what the task predicts.
    """

    def __init__(self, task: Task, model: Model, losses: Mapping[str, Loss]) -> None:
        if task.targets == "real" and "soft_targets" in losses:
            raise SettingsError(
                f"losses.soft_targets compares distributions, but {task.name} predicts numbers; "
                "use losses.logit_mse"
            )
        self._task = task
        self._model = model
        self._losses = dict(losses)

    @property
    def collect(self) -> frozenset[str]:
        """What both models have to collect besides their outputs."""
        return frozenset()

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
        with torch.no_grad():  # inference tensors can not take part in a backward pass
            expected = self._model(**batch.inputs(), collect=self.collect)
            expected_logits = self._task.logits(expected, batch)
        mask = batch.mask().flatten().bool()
        for name, loss in self._losses.items():
            if loss.needs == "logits":
                ours = self._task.distributions(logits, batch)
                theirs = self._task.distributions(expected_logits, batch)
            else:
                ours = output.last_hidden_state.flatten(0, -2)[mask]
                theirs = expected.last_hidden_state.flatten(0, -2)[mask]
            labels = torch.full((len(ours),), IGNORE_INDEX, device=ours.device)
            share = loss.sum(Rows(student=ours, teacher=theirs, labels=labels))
            yield name, loss.weight, share / max(counts[name], 1)
