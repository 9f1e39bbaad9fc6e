"""Parts of fine-tuning: the best weights so far, when to evaluate, folders that share files."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.checkpoints import CARD_NAME, has_foreign_card
from limbeck.models import Model


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
