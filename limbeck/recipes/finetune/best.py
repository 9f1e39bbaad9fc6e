"""The best weights of a fine-tuning so far, and when it is evaluated."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any, Generic, TypeVar

from torch import nn

ModelT = TypeVar("ModelT", bound=nn.Module)


@dataclass(frozen=True)
class Evaluation:
    """A validation of a model under training."""

    step: int
    epoch: float
    scores: dict[str, float]
    is_near_constant: bool = False

    def rank(self, metric: str) -> tuple[bool, float]:
        """Returns what the best validation is highest in: telling examples apart, then the score.

        Of a skewed set, one answer for all can score higher than a model that has begun to learn.
        """
        return not self.is_near_constant, self.scores[metric]


class BestWeights(Generic[ModelT]):
    """The weights of the best validation so far; part of every checkpoint.

    Args:
        model: What is trained; its weights are copied, now and at every better score.
        metric: The score that decides.
    """

    def __init__(self, model: ModelT, *, metric: str) -> None:
        self.model = copy.deepcopy(model)
        self.evaluation: Evaluation | None = None
        """The best one; None before the first."""
        self.evaluated_step = -1
        self.num_without_gain = 0
        """Evaluations since the best one."""
        self._metric = metric

    def offer(
        self,
        model: ModelT,
        *,
        step: int,
        epoch: float,
        scores: Mapping[str, float],
        is_near_constant: bool = False,
    ) -> None:
        """Keeps the weights if they are better than any before.

        Args:
            model: What is trained.
            step: Steps made.
            epoch: Passes over the training examples.
            scores: Of the validation split.
            is_near_constant: Whether nearly all of its examples got the same prediction.
        """
        self.evaluated_step = step
        self.num_without_gain += 1
        offered = Evaluation(step, epoch, dict(scores), is_near_constant)
        best = self.evaluation
        if best is None or offered.rank(self._metric) > best.rank(self._metric):
            self.model.load_state_dict(model.state_dict())
            self.evaluation = offered
            self.num_without_gain = 0

    def pass_over(self, *, step: int) -> None:
        """Notes a validation of weights that are not what the run is to give, however they score.

        Args:
            step: Steps made.
        """
        self.evaluated_step = step

    def is_overdue(self, patience: int | None) -> bool:
        """Returns whether there were `patience` evaluations in a row without a better score."""
        return patience is not None and self.num_without_gain >= patience

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps beside the weights."""
        return {
            "best": None if self.evaluation is None else asdict(self.evaluation),
            "evaluated_step": self.evaluated_step,
            "num_without_gain": self.num_without_gain,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave."""
        best, self.evaluated_step, self.num_without_gain = itemgetter(*self.state())(state)
        self.evaluation = Evaluation(**best) if best else None


def is_evaluation_due(step: int, *, steps_per_epoch: int, per_epoch: int) -> bool:
    """Tells whether step `step` (from 1) completes a share of 1 / `per_epoch` of an epoch.

    Example:
        >>> [n for n in range(1, 11) if is_evaluation_due(n, steps_per_epoch=5, per_epoch=2)]
        [3, 5, 8, 10]
    """
    return step * per_epoch // steps_per_epoch > (step - 1) * per_epoch // steps_per_epoch
