"""The phase before labels and logits: a student learns its teacher's layers alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from limbeck.errors import SettingsError
from limbeck.losses import Loss
from limbeck.models import Model
from limbeck.objectives import TaskTeacher
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import FinetuneStep, Training, make_budget
from limbeck.tasks import Task
from limbeck.train import Progress, TrainState, choose_device, open_run

FOLDER = "intermediate"
"""Where a seed's folder holds the metrics of this phase, and its checkpoints meanwhile."""


def build_layer_losses(settings: FinetuneSettings, task: Task) -> Mapping[str, Loss]:
    """Makes the losses of the phase.

    Args:
        settings: Of the phase, as `FinetuneSettings.of_intermediate` gives them.
        task: The task.

    Raises:
        SettingsError: If one is none, or looks at logits.
    """
    losses = build_task_losses(task, settings.losses)
    for name, loss in losses.items():
        if "logits" in loss.needs:
            raise SettingsError(
                f"losses.{name} compares logits, but in this phase layers alone are learned and "
                f"the head is untrained; give it as losses.{name} of the run, for what follows"
            )
    return losses


def learn_layers(
    model: Model,
    settings: FinetuneSettings,
    data: TaskData,
    *,
    teacher: TaskTeacher,
    seed: int,
    progress: Progress,
) -> Generator[FinetuneStep, None, TrainState]:
    """Makes the steps of the phase that are left, or restores what came of them.

    Its last checkpoint stays until the seed is finished, so that a run which is stopped in what
    follows finds the weights again, whatever became of later checkpoints.

    Args:
        model: What is trained, in place.
        settings: Of the phase.
        data: The student's.
        teacher: The teacher, and what is learned of it.
        seed: Decides the order of the examples; dropout goes on from where it is.
        progress: Where it reports.
    """
    training = Training.of(model, settings, data, teacher=teacher, label_weight=None, seed=seed)
    batches = training.batches
    folder = settings.out / f"seed-{seed}" / FOLDER
    with open_run(
        folder,
        description=f"seed {seed}, {FOLDER}",
        modules={"objective": training.objective},
        optimizer=training.optimizer,
        budget=make_budget(settings, steps_per_epoch=batches.steps_per_epoch),
        progress=progress,
        log_every=settings.log_every,
        save_every=settings.save_every,
        tensorboard=settings.tensorboard,
    ) as run:
        begun_at = run.state.step
        if begun_at:
            data.require_same(run.state.extra.get("examples"), folder=folder)
        run.extra["examples"] = data.fingerprint
        model.train()
        for step in run.steps(
            training.objective,
            batches.steps(begun_at),
            schedule=settings.schedule,
            device=choose_device(settings.device),
            max_grad_norm=settings.max_grad_norm,
            precision=settings.precision,
        ):
            try:
                yield FinetuneStep(
                    seed=seed,
                    number=step.number,
                    epoch=step.number / batches.steps_per_epoch,
                    loss=step.loss,
                    learning_rate=step.learning_rate,
                    scores=None,
                    phase="intermediate",
                )
            except GeneratorExit:  # left early: the same call goes on from here
                run.save()
                raise
        if run.state.step > begun_at:
            run.save()
            figures = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            progress.log(f"seed {seed}: layers learned in {run.state.step:,} steps, {figures}")
    return run.state
