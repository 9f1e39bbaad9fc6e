"""What trainings on a task share: where they end, their batches, and that these stay the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

from limbeck.recipes._settings import TrainingSettings
from limbeck.recipes._tasks.data import TaskData
from limbeck.tasks import TrainBatches
from limbeck.train import Budget, TrainRun


class _Bounds(Protocol):
    """Settings that say where a training ends."""

    @property
    def epochs(self) -> float: ...

    @property
    def max_steps(self) -> int | None: ...

    @property
    def max_minutes(self) -> float | None: ...


def make_budget(settings: _Bounds, *, steps_per_epoch: int) -> Budget:
    """Returns where a training ends: after its epochs, or at a bound that comes first."""
    num_steps = math.ceil(settings.epochs * steps_per_epoch)
    return Budget(
        max_steps=min(num_steps, settings.max_steps or num_steps), max_minutes=settings.max_minutes
    )


def make_batches(settings: TrainingSettings, data: TaskData, *, seed: int) -> TrainBatches:
    """Returns a task's training examples, in the order of a seed."""
    return TrainBatches(
        data.task,
        data.training,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        pad_token_id=data.tokenizer.pad_token_id,
        seed=seed,
    )


def keep_examples(run: TrainRun, data: TaskData, *, folder: Path) -> None:
    """Has a run remember its examples.

    Raises:
        DataError: If it goes on and began with others.
    """
    if run.state.step:
        data.require_same(run.state.extra.get("examples"), folder=folder)
    run.extra["examples"] = data.fingerprint
