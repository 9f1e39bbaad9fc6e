"""How the quickstart divides its minutes."""

from __future__ import annotations

from dataclasses import dataclass

# Measured on 2 CPU cores: 384 steps of 32 sentences take the 6-layer teacher 197 seconds and a
# 3-layer student 94 to 98, so that an epoch (271 steps) of all four models takes 5.7 minutes. The
# figure below leaves room, so that the time limit of a fine-tuning seldom binds.
_STEPS_PER_EPOCH = 271
_MINUTES_PER_EPOCH = 6.2
_DISTILL_RATIO = 0.29
_FINETUNE_RATIO = 0.62


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What each stage gets.

    Attributes:
        distill: Minutes of distillation.
        finetune_steps: Optimiser steps of each fine-tuning, the same for every model.
        seeds: Of each fine-tuning.
        finetune: Minutes for the fine-tuning of all models and seeds together.
    """

    distill: float
    finetune_steps: int
    seeds: tuple[int, ...]
    finetune: float

    def minutes_for(self, role: str) -> float:
        """Returns the most minutes one fine-tuning may take, in proportion to the depth.

        It binds only on a machine so slow that the steps don't fit; then every model is cut short
        in the same proportion.
        """
        parts = 2 if role == "teacher" else 1
        return self.finetune * parts / 5 / len(self.seeds)


def share_minutes(minutes: float) -> Shares:
    """Divides the time of a quickstart; the rest is for evaluation, speed and the report."""
    finetune = _FINETUNE_RATIO * minutes
    epochs = finetune / _MINUTES_PER_EPOCH
    num_seeds = max(1, min(5, int(epochs // 2.5)))
    return Shares(
        distill=_DISTILL_RATIO * minutes,
        finetune_steps=max(10, round(_STEPS_PER_EPOCH * min(epochs / num_seeds, 4.0))),
        seeds=tuple(range(num_seeds)),
        finetune=finetune,
    )
