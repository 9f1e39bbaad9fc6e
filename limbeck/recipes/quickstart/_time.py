"""How the quickstart divides its minutes, and how many steps each compared model gets of them."""

from __future__ import annotations

from typing import ClassVar

from limbeck.files.typed import TypedFile

STEPS_PER_EPOCH = 271
"""Steps of 32 sentences through the 8,662 that ship."""

_DISTILL_RATIO = 0.29
_FINETUNE_RATIO = 0.62
# Of the fine-tuning's minutes; the rest is for its evaluations, which take a tenth of the time of
# the steps, and for a machine that gets somewhat slower after it was measured.
_STEPS_RATIO = 0.86
_MOST_EPOCHS = 4.0
_EPOCHS_PER_SEED = 2.5  # a further seed says more than further epochs, from here on

FEWEST_STEPS = 10
ENOUGH_STEPS = STEPS_PER_EPOCH // 2
"""Steps below which differences between the models say little: each has seen fewer than half of the
training sentences, and once."""


def distill_minutes(minutes: float) -> float:
    """Returns the minutes that the distillation gets."""
    return _DISTILL_RATIO * minutes


def finetune_minutes(minutes: float) -> float:
    """Returns the minutes that the fine-tuning of all models and seeds gets together."""
    return _FINETUNE_RATIO * minutes


class StepBudget(TypedFile):
    """What every compared model gets, the same for all; decided once, and kept for a resume."""

    FILE_NAME: ClassVar[str] = "steps.json"
    REMEDY: ClassVar[str] = "remove it, and the folder 'finetune' beside it, to measure again"

    num_steps: int
    """Optimiser steps of each fine-tuning."""
    num_seeds: int
    """Fine-tunings of each model."""
    seconds_per_step: float
    """One step of all models together, as measured."""

    @property
    def is_enough(self) -> bool:
        """Whether differences between the models can say something."""
        return self.num_steps >= ENOUGH_STEPS

    @property
    def enough_minutes(self) -> int:
        """Minutes of a whole quickstart that would be enough on this machine, rounded up."""
        seconds = ENOUGH_STEPS * self.seconds_per_step / _STEPS_RATIO
        return int(seconds / 60 / _FINETUNE_RATIO) + 1


def divide_minutes(minutes: float, *, seconds_per_step: float) -> StepBudget:
    """Turns the time of a quickstart into steps, once, for all models.

    Args:
        minutes: Of the whole quickstart.
        seconds_per_step: One step of all compared models together, measured on this machine.

    Example:
        >>> divide_minutes(13, seconds_per_step=1.28)
        StepBudget(num_steps=324, num_seeds=1, seconds_per_step=1.28)
    """
    num_steps = 60 * finetune_minutes(minutes) * _STEPS_RATIO / seconds_per_step
    num_seeds = max(1, min(5, int(num_steps / STEPS_PER_EPOCH // _EPOCHS_PER_SEED)))
    most = round(_MOST_EPOCHS * STEPS_PER_EPOCH)
    return StepBudget(
        num_steps=max(FEWEST_STEPS, min(int(num_steps / num_seeds), most)),
        num_seeds=num_seeds,
        seconds_per_step=seconds_per_step,
    )
