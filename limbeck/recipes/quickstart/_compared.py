"""The models that the quickstart compares: fine-tuned alike, for as many steps as time allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.recipes import finetune
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes.finetune.pace import measure_pace
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.quickstart._time import (
    ENOUGH_STEPS,
    STEPS_PER_EPOCH,
    StepBudget,
    divide_minutes,
)
from limbeck.train import Progress

DATA = Path(__file__).parent / "data"
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A model of the report.

    Attributes:
        label: What the report calls it.
        role: Its part there.
        model: What it starts from.
        options: What else is its own of the settings of `finetune`.
    """

    label: str
    role: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def settings(
        self, out: Path, *, device: str, num_steps: int, num_seeds: int
    ) -> FinetuneSettings:
        """Returns the settings of its fine-tuning, those of all models but for the model."""
        return FinetuneSettings.from_values(
            {
                "model": self.model,
                "label": self.label,
                "role": self.role,
                "task": "sst2",
                "task_label": "sentence polarity",
                "data": {split: str(DATA / f"{split}.jsonl") for split in _SPLITS},
                "out": out / "finetune" / folder_name(self.label.partition(",")[0]),
                "epochs": float(num_steps),  # the steps end it, whatever an epoch has
                "max_steps": num_steps,
                "learning_rate": 1e-4,
                "seeds": tuple(range(num_seeds)),
                "device": device,
                **self.options,
            }
        )


def decide_budget(
    models: Sequence[Compared], out: Path, *, minutes: float, device: str, progress: Progress
) -> StepBudget:
    """Turns the time into steps before the first model starts, and says what they are enough for.

    The machine is measured once: models that each got a share of the time would make as many steps
    as it happens to be busy, and differ by that.

    Args:
        models: All that are compared.
        out: The quickstart's folder, which keeps what was decided for a resume.
        minutes: Of the whole quickstart.
        device: Where the models are trained.
        progress: Where it is said.
    """
    if StepBudget.exists(out):
        return StepBudget.read(out)
    progress.log("measuring how long a step of each model takes")
    # The settings are never run, so their number of steps does not matter.
    paces = [
        measure_pace(model.settings(out, device=device, num_steps=1, num_seeds=1), num_steps=12)
        for model in models
    ]
    budget = divide_minutes(minutes, seconds_per_step=sum(paces))
    epochs = budget.num_steps / STEPS_PER_EPOCH
    progress.log(
        f"{budget.seconds_per_step:.2f} s for a step of all {len(models)} models: "
        f"{budget.num_steps} steps each ({epochs:.1f} epochs), {budget.num_seeds} seed(s)"
    )
    if not budget.is_enough:
        progress.log(f"this machine is slow: {describe_shortage(budget)} {advise(budget)}")
    return budget.write(out)


def describe_shortage(budget: StepBudget) -> str:
    """Returns what too few steps can't show, in a sentence."""
    return (
        f"Every model made only {budget.num_steps} steps of fine-tuning: too few to tell what a "
        "model keeps or what distillation added."
    )


def advise(budget: StepBudget) -> str:
    """Returns what would be enough, and what somebody with a slow machine may choose."""
    return (
        f"In {ENOUGH_STEPS} steps half of the training sentences are seen once. On this machine, "
        f"as busy as it was, limbeck quickstart minutes={budget.enough_minutes} out=... would make "
        "as many; a smaller teacher=... would in less time, and so would the machine with less "
        "else to do."
    )


def finetune_alike(
    models: Sequence[Compared], out: Path, *, budget: StepBudget, device: str, progress: Progress
) -> list[Path]:
    """Fine-tunes every model with the same steps and seeds; returns their run folders."""
    folders = []
    for model in models:
        progress.log(f"fine-tuning: {model.label}")
        settings = model.settings(
            out, device=device, num_steps=budget.num_steps, num_seeds=budget.num_seeds
        )
        finetune.run(settings, progress=progress)
        folders.append(settings.out)
    return folders
