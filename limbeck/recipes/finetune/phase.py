"""A phase of a fine-tuning before the one that is validated: the same steps, its last weights."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from torch import nn

from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.training import keep_examples, make_budget
from limbeck.recipes._training import make_steps, open_training
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import FinetuneStep, Phase, Training
from limbeck.train import Progress, TrainState


def make_phase(
    training: Training,
    settings: FinetuneSettings,
    data: TaskData,
    *,
    phase: Phase,
    done: str,
    modules: Mapping[str, nn.Module],
    seed: int,
    progress: Progress,
    before_step: Callable[[int], None] | None = None,
) -> Generator[FinetuneStep, None, TrainState]:
    """Makes the steps of a phase that are left, or restores what came of them.

    Its last checkpoint stays until the seed is finished, so that a run which is stopped in what
    follows finds the weights again, whatever became of later checkpoints.

    Args:
        training: What is trained, in place.
        settings: Of the phase.
        data: The student's.
        phase: Its name, and that of the folder of its metrics and checkpoints in the seed's.
        done: What is said of it at its end.
        modules: What a checkpoint keeps of the weights.
        seed: Of the run.
        progress: Where it reports.
        before_step: Called with the number of steps made so far, before each further one.
    """
    batches = training.batches
    folder = settings.out / f"seed-{seed}" / phase
    with open_training(
        settings,
        folder,
        description=f"seed {seed}, {phase}",
        modules=modules,
        optimizer=training.optimizer,
        budget=make_budget(settings, steps_per_epoch=batches.steps_per_epoch),
        progress=progress,
    ) as run:
        begun_at = run.state.step
        keep_examples(run, data, folder=folder)
        training.model.train()
        if before_step is not None:
            before_step(begun_at)
        for step in make_steps(
            run,
            settings,
            training.objective,
            batches.steps(begun_at),
        ):
            if before_step is not None:
                before_step(step.number)
            try:
                yield FinetuneStep(
                    seed=seed,
                    number=step.number,
                    epoch=step.number / batches.steps_per_epoch,
                    loss=step.loss,
                    learning_rate=step.learning_rate,
                    scores=None,
                    phase=phase,
                )
            except GeneratorExit:  # left early: the same call goes on from here
                run.save()
                raise
        if run.state.step > begun_at:
            run.save()
            figures = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            progress.log(f"seed {seed}: {done} in {run.state.step:,} steps, {figures}")
    return run.state
