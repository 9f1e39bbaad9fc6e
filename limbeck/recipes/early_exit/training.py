"""The training of exits, while the model that they stand on stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from limbeck.models import EarlyExitModel
from limbeck.objectives import ExitObjective
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes._tasks.training import keep_examples, make_batches, make_budget
from limbeck.recipes._training import build_optimizer, make_steps, open_training
from limbeck.recipes.early_exit.settings import EarlyExitSettings
from limbeck.train import Progress


def train_exits(
    model: EarlyExitModel, settings: EarlyExitSettings, data: TaskData, *, progress: Progress
) -> int:
    """Trains a model's exits in place, or goes on with that; returns how many steps were made.

    Raises:
        DataError: If a training that goes on began with other examples.
        TrainingError: If a loss is not finite.
        KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
    """
    torch.manual_seed(settings.seed)
    objective = ExitObjective(
        data.task,
        model,
        losses=build_task_losses(data.task, settings.losses),
        label_weight=settings.label_weight,
    )
    optimizer = build_optimizer(settings, model.exits)
    batches = make_batches(settings, data, seed=settings.seed)
    folder = _folder(settings)
    with open_training(
        settings,
        folder,
        description="exits",
        modules={"exits": model.exits},
        optimizer=optimizer,
        budget=make_budget(settings, steps_per_epoch=batches.steps_per_epoch),
        progress=progress,
    ) as run:
        keep_examples(run, data, folder=folder)
        begun_at = run.state.step
        for _ in make_steps(run, settings, objective, batches.steps(begun_at)):
            pass
        if run.state.step > begun_at:
            run.save()
    model.eval()
    return run.state.step


def drop_checkpoints(settings: EarlyExitSettings) -> None:
    """Removes what a training could go on from, once the run is finished."""
    shutil.rmtree(_folder(settings) / "checkpoints", ignore_errors=True)


def _folder(settings: EarlyExitSettings) -> Path:
    return settings.out / "training"
