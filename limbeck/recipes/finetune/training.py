"""What the phases of a fine-tuning share: what is trained, its end, a step that was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch

from limbeck.methods import start_student
from limbeck.models import Model
from limbeck.objectives import TaskObjective, TaskTeacher
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.memory import write_memory
from limbeck.recipes._tasks.training import make_batches, make_budget
from limbeck.recipes._training import build_optimizer
from limbeck.recipes.finetune.constraints import constrain
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.tasks import TrainBatches
from limbeck.train import Constraint, choose_device

Phase = Literal["intermediate", "replacing", "task"]
"""Part of a fine-tuning; those before the last have a folder of that name in the seed's, for their
metrics, and their checkpoints meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that the steps of one seed need, before the first of them.

    Attributes:
        model: What is trained, on its device.
        objective: What the steps make small; holds the model.
        optimizer: Over the objective's parameters.
        batches: The training examples, in the seed's order.
        constraint: Holds its weights to a form meanwhile; None where they are free.
    """

    model: Model
    objective: TaskObjective
    optimizer: torch.optim.Optimizer
    batches: TrainBatches
    constraint: Constraint[Model] | None = None

    @classmethod
    def prepare(
        cls, settings: FinetuneSettings, data: TaskData, *, teacher: TaskTeacher | None, seed: int
    ) -> Self:
        """Builds the model and what trains it, its new weights drawn by the seed."""
        torch.manual_seed(seed)
        model = start_model(settings, data)
        model.to(choose_device(settings.device))
        weight = settings.label_weight
        return cls.of(model, settings, data, teacher=teacher, label_weight=weight, seed=seed)

    @classmethod
    def of(
        cls,
        model: Model,
        settings: FinetuneSettings,
        data: TaskData,
        *,
        teacher: TaskTeacher | None,
        label_weight: float | None,
        seed: int,
    ) -> Self:
        """Builds what trains a model, without labels where these have no weight."""
        batches = make_batches(settings, data, seed=seed)
        budget = make_budget(settings, steps_per_epoch=batches.steps_per_epoch)
        constraint = constrain(model, settings, num_steps=budget.max_steps, seed=seed)
        objective = TaskObjective(
            data.task,
            model,
            teacher=teacher,
            label_weight=label_weight,
            penalty=None if constraint is None else constraint.penalty,
        )
        optimizer = build_optimizer(
            settings,
            objective,
            layer_decay=settings.layer_decay,
            own_rates=None if constraint is None else constraint.rates(),
        )
        return cls(
            model=model,
            objective=objective,
            optimizer=optimizer,
            batches=batches,
            constraint=constraint,
        )

    def plain_model(self) -> Model:
        """Returns the model as it is scored and saved, of one under a constraint a copy."""
        return self.model if self.constraint is None else self.constraint.fold()


def start_model(settings: FinetuneSettings, data: TaskData) -> Model:
    """Returns the model before the first step; weights that it has not yet are drawn."""
    if settings.initialise == "random":
        model = data.task.new_model(data.folder)
    else:
        model = data.task.load_model(data.folder, new_head=settings.new_head)
    return start_student(model, settings.methods)


def save_model(model: Model, settings: FinetuneSettings, data: TaskData, folder: Path) -> None:
    """Writes a model of the run, its tokenizer, and what it is to remember of its task."""
    model.save_pretrained(folder)
    data.tokenizer.for_model(model.config).save_pretrained(folder)
    write_memory(folder, settings)


@dataclass(frozen=True, kw_only=True)
class FinetuneStep:
    """One optimiser step of a fine-tuning that has been made.

    Attributes:
        seed: The seed that is being trained.
        number: Steps made so far with this seed in this phase, this one included.
        epoch: Passes made so far in this phase over the training examples.
        loss: The step's loss, before the update.
        learning_rate: Of the topmost parameters.
        scores: Of the weights after this step on the validation split; None where the step was not
            followed by a validation.
        phase: `intermediate` while the teacher's layers alone are learned, `replacing` while the
            student's stand in for the model's, else `task`.
        num_steps: Steps of the phase in all; None where time ends it.
        measure: Scores these weights on the validation split, with no part in the choice of the
            best; None before the phase `task`.
    """

    seed: int
    number: int
    epoch: float
    loss: float
    learning_rate: float
    scores: dict[str, float] | None
    phase: Phase = "task"
    num_steps: int | None = None
    measure: Callable[[], dict[str, float]] | None = None
