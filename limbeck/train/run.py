"""A run's steps with what surrounds them: metrics, progress, checkpoints, a clean stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck.train.budget import Budget
from limbeck.train.interrupt import Interrupt, defer_interrupts
from limbeck.train.loop import (
    BatchT,
    Objective,
    Precision,
    PreparedT,
    Step,
    TrainState,
    train_steps,
)
from limbeck.train.metrics import METRICS_FILE, MetricsWriter
from limbeck.train.progress import Progress
from limbeck.train.ranks import Ranks
from limbeck.train.saving import SaveTimes
from limbeck.train.schedule import Schedule
from limbeck.train.state import load_state, save_state
from limbeck.train.watch import StepWatch, watch_steps


class TrainRun:
    """A run under way in a folder, made by `open_run`.

    Attributes:
        state: Where the run stands.
        extra: What the recipe wants kept in the next checkpoint beside the weights; plain JSON.
        metrics: Where the recipe writes what it measures.
    """

    def __init__(
        self,
        folder: Path,
        *,
        state: TrainState,
        modules: Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        budget: Budget,
        metrics: MetricsWriter,
        interrupt: Interrupt,
        watch: StepWatch,
        log_every: int,
        save_times: SaveTimes,
        ranks: Ranks,
    ) -> None:
        self.state = state
        self.extra: dict[str, Any] = dict(state.extra)
        self.metrics = metrics
        self._folder = folder
        self._modules = modules
        self._optimizer = optimizer
        self._budget = budget
        self._interrupt = interrupt
        self._watch = watch
        self._log_every = log_every
        self._save_times = save_times
        self._ranks = ranks
        self._stopped = False
        self._evaluated_step = state.step

    def steps(
        self,
        objective: Objective[BatchT, PreparedT],
        batches: Iterable[Sequence[BatchT]],
        *,
        schedule: Schedule,
        device: torch.device,
        max_grad_norm: float | None,
        precision: Precision,
    ) -> Iterator[Step]:
        """Makes the steps that are left, as `train_steps` does, with the recipe's turn after each.

        A checkpoint is written after the recipe's turn, so that it holds what that left in `extra`.

        Raises:
            KeyboardInterrupt: After a checkpoint, when Ctrl-C or SIGTERM asked to stop.
        """
        if self._stopped:
            return
        for step in train_steps(
            objective,
            batches,
            optimizer=self._optimizer,
            schedule=schedule,
            budget=self._budget,
            device=device,
            max_grad_norm=max_grad_norm,
            precision=precision,
            start=self.state,
            ranks=self._ranks,
        ):
            self._watch.show(step)
            if step.number % self._log_every == 0:
                self.metrics.write_step(step)
            self.state = TrainState.after(step, extra=self.extra)
            yield step
            if self._save_times.is_due(step.number, measured=step.number == self._evaluated_step):
                self.save()
            self.raise_if_interrupted()
            if self._stopped:
                return

    def write_evaluation(self, *, step: int, **figures: float | str | None) -> None:
        """Writes what was measured after a step to the metrics; a checkpoint is due with it."""
        self.metrics.write("evaluate", step=step, **figures)
        self._evaluated_step = step

    def stop(self) -> None:
        """Makes the step at hand the last one; before the first, there is none."""
        self._stopped = True

    def save(self) -> None:
        """Writes a checkpoint of where the run stands."""
        self.state = replace(self.state, extra=dict(self.extra), num_metrics=self.metrics.num_lines)
        if self._ranks.is_main:
            with self._save_times.saving():
                save_state(
                    self._folder, self.state, modules=self._modules, optimizer=self._optimizer
                )

    def raise_if_interrupted(self) -> None:
        """Saves and stops where the user asked for it.

        Raises:
            KeyboardInterrupt: If so.
        """
        if any(self._ranks.sum(self._interrupt.requested)):
            self.save()
            raise KeyboardInterrupt


@contextmanager
def open_run(
    folder: Path,
    *,
    description: str,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    budget: Budget,
    progress: Progress,
    log_every: int,
    save_every: int | None = None,
    tensorboard: bool = False,
    ranks: Ranks | None = None,
) -> Iterator[TrainRun]:
    """Opens a run, going on from the newest good checkpoint in `folder/checkpoints`.

    Args:
        folder: The run folder, which gets `metrics.jsonl` and `checkpoints`.
        description: What the progress is called.
        modules: Everything with weights; restored if there is a checkpoint.
        optimizer: Restored likewise.
        budget: Where the run ends.
        progress: Where it reports.
        log_every: Steps between lines of kind `train` in the metrics.
        save_every: Steps between checkpoints; None saves as `SaveTimes` says.
        tensorboard: Also write TensorBoard files.
        ranks: The processes that share each step, of which the main one writes; one if absent.
    """
    ranks = ranks or Ranks()
    checkpoints = folder / "checkpoints"
    state = load_state(checkpoints, modules=modules, optimizer=optimizer) or TrainState()
    if state.step:
        progress.log(f"{description}: going on after step {state.step}")
        if not (folder / METRICS_FILE).exists():
            progress.log(f"{folder / METRICS_FILE} is missing: it begins again after this step")
    with (
        MetricsWriter(
            folder,
            tensorboard=tensorboard,
            resume_step=state.step,
            resume_lines=state.num_metrics,
            ranks=ranks,
        ) as metrics,
        defer_interrupts() as interrupt,
        watch_steps(progress, description, budget=budget, start=state) as watch,
    ):
        yield TrainRun(
            checkpoints,
            state=state,
            modules=modules,
            optimizer=optimizer,
            budget=budget,
            metrics=metrics,
            interrupt=interrupt,
            watch=watch,
            log_every=log_every,
            save_times=SaveTimes(every=save_every),
            ranks=ranks,
        )
