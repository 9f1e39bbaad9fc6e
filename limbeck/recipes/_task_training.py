"""Parts of fine-tuning: the loss of a task, the best weights so far, folders that share files."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck.models import Model
from limbeck.tasks import Task, TaskBatch


class TaskObjective:
    """The task's loss, averaged over the examples of a step."""

    def __init__(self, task: Task, model: Model) -> None:
        self._task = task
        self._model = model

    def counts(self, batch: TaskBatch) -> dict[str, int]:
        """Returns the number of examples."""
        return {"task": batch.num_examples}

    def __call__(
        self, batch: TaskBatch, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss."""
        output = self._model(**batch.inputs())
        loss = self._task.loss_sum(output, batch) / counts["task"]
        return loss, {"task": loss.detach()}


class BestWeights:
    """The weights with the highest validation score so far; part of every checkpoint.

    Args:
        model: What is trained; its weights are copied, now and at every better score.
        metric: The score that decides.
    """

    def __init__(self, model: Model, *, metric: str) -> None:
        self.model = copy.deepcopy(model)
        self.record: dict[str, Any] = {}
        self.evaluated_step = -1
        self._metric = metric

    def offer(self, model: Model, *, step: int, epoch: float, scores: Mapping[str, float]) -> None:
        """Keeps the weights if they score higher than any before."""
        self.evaluated_step = step
        if not self.record or scores[self._metric] > self.record["scores"][self._metric]:
            self.model.load_state_dict(model.state_dict())
            self.record = {"step": step, "epoch": epoch, "scores": dict(scores)}

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps beside the weights."""
        return {"best": self.record, "evaluated_step": self.evaluated_step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.record, self.evaluated_step = state["best"], state["evaluated_step"]


def is_evaluation_due(step: int, *, steps_per_epoch: int, per_epoch: int) -> bool:
    """Tells whether step `step` (from 1) completes a share of 1 / `per_epoch` of an epoch.

    Example:
        >>> [n for n in range(1, 11) if is_evaluation_due(n, steps_per_epoch=5, per_epoch=2)]
        [3, 5, 8, 10]
    """
    return step * per_epoch // steps_per_epoch > (step - 1) * per_epoch // steps_per_epoch


def share_folder(source: Path, target: Path) -> None:
    """Makes `target` the same folder as `source`, with hard links where the file system can."""
    partial = target.with_name(f".partial-{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, copy_function=_link_or_copy)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
