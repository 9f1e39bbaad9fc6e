"""How fast a machine fine-tunes, measured before anything is decided by it."""

from __future__ import annotations

from limbeck.recipes.finetune.data import read_data
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import Training
from limbeck.train import Budget, SilentProgress, choose_device, train_steps

_FEWEST_STEPS = 3  # the first, which warms up, and two that are counted


def measure_pace(
    settings: FinetuneSettings, *, num_steps: int = 16, max_seconds: float = 30.0
) -> float:
    """Returns the seconds that an optimiser step takes on this machine, as it is now.

    The first steps of the first seed are made in memory, on its own batches, and thrown away: no
    folder is begun. Steps differ with the lengths of their texts, so that several are averaged.

    Args:
        settings: Of a fine-tuning without a teacher.
        num_steps: Steps to count.
        max_seconds: No further step is begun after these, except that two are always counted.
    """
    data = read_data(settings, SilentProgress())
    training = Training.prepare(settings, data, teacher=None, seed=settings.seeds[0])
    return time_steps(training, settings, num_steps=num_steps, max_seconds=max_seconds)


def time_steps(
    training: Training,
    settings: FinetuneSettings,
    *,
    num_steps: int,
    max_seconds: float = 30.0,
) -> float:
    """Returns the seconds of an optimiser step, the mean of the first few, as `measure_pace`."""
    training.model.train()
    elapsed: list[float] = []
    for step in train_steps(
        training.objective,
        training.batches.steps(0),
        optimizer=training.optimizer,
        schedule=settings.schedule,
        budget=Budget(max_steps=num_steps + 1),
        device=choose_device(settings.device),
        max_grad_norm=settings.max_grad_norm,
        precision=settings.precision,
    ):
        elapsed.append(step.elapsed_seconds)
        if len(elapsed) >= _FEWEST_STEPS and elapsed[-1] > max_seconds:
            break
    return (elapsed[-1] - elapsed[0]) / (len(elapsed) - 1)
