"""The phase before labels and logits: a student learns its teacher's layers alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from limbeck.errors import SettingsError
from limbeck.losses import Loss
from limbeck.models import Model
from limbeck.objectives import TaskTeacher
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.losses import build_task_losses
from limbeck.recipes.finetune.phase import make_phase
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import FinetuneStep, Training
from limbeck.tasks import Task
from limbeck.train import Progress, TrainState


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

    Args:
        model: What is trained, in place.
        settings: Of the phase.
        data: The student's.
        teacher: The teacher, and what is learned of it.
        seed: Decides the order of the examples; dropout goes on from where it is.
        progress: Where it reports.
    """
    training = Training.of(model, settings, data, teacher=teacher, label_weight=None, seed=seed)
    return (
        yield from make_phase(
            training,
            settings,
            data,
            phase="intermediate",
            done="layers learned",
            modules={"objective": training.objective},
            seed=seed,
            progress=progress,
        )
    )
