"""A training as the settings that all of them share say it: its optimiser, its run, its steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import nn

from limbeck.recipes._settings import TrainingSettings
from limbeck.train import (
    Budget,
    Objective,
    Progress,
    Step,
    TrainRun,
    build_adamw,
    choose_device,
    open_run,
)
from limbeck.train.loop import BatchT, PreparedT


def build_optimizer(
    settings: TrainingSettings,
    trained: nn.Module,
    *,
    layer_decay: float = 1.0,
    own_rates: Mapping[nn.Parameter, float] | None = None,
) -> torch.optim.AdamW:
    """Returns what moves a module's parameters; see `build_adamw`."""
    return build_adamw(
        [trained],
        learning_rate=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        layer_decay=layer_decay,
        own_rates=own_rates,
    )


def open_training(
    settings: TrainingSettings,
    folder: Path,
    *,
    description: str,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    budget: Budget,
    progress: Progress,
) -> AbstractContextManager[TrainRun]:
    """Opens a run, going on where it stopped; see `open_run`."""
    return open_run(
        folder,
        description=description,
        modules=modules,
        optimizer=optimizer,
        budget=budget,
        progress=progress,
        log_every=settings.log_every,
        save_every=settings.save_every,
        tensorboard=settings.tensorboard,
    )


def make_steps(
    run: TrainRun,
    settings: TrainingSettings,
    objective: Objective[BatchT, PreparedT],
    batches: Iterable[Sequence[BatchT]],
) -> Iterator[Step]:
    """Makes the steps of a run that are left; see `TrainRun.steps`."""
    return run.steps(
        objective,
        batches,
        schedule=settings.schedule,
        device=choose_device(settings.device),
        max_grad_norm=settings.max_grad_norm,
        precision=settings.precision,
    )
