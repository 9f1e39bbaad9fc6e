"""The training of exits, while the model that they stand on stays as it is."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch

from limbeck.models import EarlyExitModel
from limbeck.objectives import ExitObjective
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes.early_exit.settings import EarlyExitSettings
from limbeck.tasks import TrainBatches
from limbeck.train import Budget, Progress, build_adamw, choose_device, open_run


def make_budget(settings: EarlyExitSettings, data: TaskData) -> Budget:
    """Returns where the training ends."""
    num_steps = math.ceil(settings.epochs * math.ceil(len(data.training) / settings.batch_size))
    return Budget(
        max_steps=min(num_steps, settings.max_steps or num_steps), max_minutes=settings.max_minutes
    )


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
    optimizer = build_adamw(
        [model.exits],
        learning_rate=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
    )
    batches = TrainBatches(
        data.task,
        data.training,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        pad_token_id=data.tokenizer.pad_token_id,
        seed=settings.seed,
    )
    folder = _folder(settings)
    with open_run(
        folder,
        description="exits",
        modules={"exits": model.exits},
        optimizer=optimizer,
        budget=make_budget(settings, data),
        progress=progress,
        log_every=settings.log_every,
        save_every=settings.save_every,
        tensorboard=settings.tensorboard,
    ) as run:
        begun_at = run.state.step
        if begun_at:
            data.require_same(run.state.extra.get("examples"), folder=folder)
        run.extra["examples"] = data.fingerprint
        for _ in run.steps(
            objective,
            batches.steps(begun_at),
            schedule=settings.schedule,
            device=choose_device(settings.device),
            max_grad_norm=settings.max_grad_norm,
            precision=settings.precision,
        ):
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
