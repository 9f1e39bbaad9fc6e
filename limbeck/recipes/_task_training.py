"""Parts of fine-tuning: the loss of a task, the best weights so far, folders that share files."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck.checkpoints import CARD_NAME, has_foreign_card
from limbeck.models import Model
from limbeck.recipes._task_teacher import TaskTeacher
from limbeck.tasks import Task, TaskBatch


class TaskObjective:
    """The task's loss against its labels, and with a teacher the losses against its outputs.

    Args:
        task: The task.
        model: What is trained.
        teacher: What it learns from besides the labels.
        label_weight: Weight of the loss against the labels.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        *,
        teacher: TaskTeacher | None = None,
        label_weight: float = 1.0,
    ) -> None:
        self._task = task
        self._model = model
        self._teacher = teacher
        self._label_weight = label_weight

    def counts(self, batch: TaskBatch) -> dict[str, int]:
        """Returns what each term is averaged over."""
        counts = {} if self._teacher is None else self._teacher.counts(batch)
        return {"task": 0 if batch.labels is None else self._task.loss_count(batch), **counts}

    def __call__(
        self, batch: TaskBatch, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss and of each term."""
        collect = frozenset() if self._teacher is None else self._teacher.collect
        output = self._model(**batch.inputs(), collect=collect)
        logits = self._task.logits(output, batch)
        total, terms = logits.new_zeros(()), {"task": logits.new_zeros(())}
        if batch.labels is not None:
            loss = self._task.loss_sum(logits, batch) / max(counts["task"], 1)
            terms["task"] = loss.detach()
            total = total + self._label_weight * loss
        if self._teacher is not None:
            for name, weight, share in self._teacher.terms(output, logits, batch, counts):
                terms[name] = share.detach()
                total = total + weight * share
        return total, terms


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
        self.num_without_gain = 0
        """Evaluations since the best one."""
        self._metric = metric

    def offer(self, model: Model, *, step: int, epoch: float, scores: Mapping[str, float]) -> None:
        """Keeps the weights if they score higher than any before."""
        self.evaluated_step = step
        self.num_without_gain += 1
        if not self.record or scores[self._metric] > self.record["scores"][self._metric]:
            self.model.load_state_dict(model.state_dict())
            self.record = {"step": step, "epoch": epoch, "scores": dict(scores)}
            self.num_without_gain = 0

    def is_overdue(self, patience: int | None) -> bool:
        """Returns whether there were `patience` evaluations in a row without a better score."""
        return patience is not None and self.num_without_gain >= patience

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps beside the weights."""
        return {
            "best": self.record,
            "evaluated_step": self.evaluated_step,
            "num_without_gain": self.num_without_gain,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.record, self.evaluated_step = state["best"], state["evaluated_step"]
        self.num_without_gain = state["num_without_gain"]


def is_evaluation_due(step: int, *, steps_per_epoch: int, per_epoch: int) -> bool:
    """Tells whether step `step` (from 1) completes a share of 1 / `per_epoch` of an epoch.

    Example:
        >>> [n for n in range(1, 11) if is_evaluation_due(n, steps_per_epoch=5, per_epoch=2)]
        [3, 5, 8, 10]
    """
    return step * per_epoch // steps_per_epoch > (step - 1) * per_epoch // steps_per_epoch


def share_folder(source: Path, target: Path) -> None:
    """Makes `target` the same folder as `source`, with hard links where the file system can.

    A model card that somebody wrote into `target` stays.
    """
    partial = target.with_name(f".partial-{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, copy_function=_link_or_copy)
    if has_foreign_card(target):
        (partial / CARD_NAME).unlink(missing_ok=True)  # a link: not to be written through
        shutil.copy2(target / CARD_NAME, partial / CARD_NAME)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
