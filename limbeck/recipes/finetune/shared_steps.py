"""One number of steps for all models that are compared, where a time is what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from limbeck.files.typed import TypedFile
from limbeck.train import Progress


class SharedSteps(TypedFile):
    """What was decided, kept so that a resumed run decides nothing else."""

    FILE_NAME: ClassVar[str] = "steps.json"
    REMEDY: ClassVar[str] = "remove it to measure again"

    minutes: dict[str, float] = Field(default_factory=dict)
    """By task: the time that was asked for."""
    num_steps: dict[str, int] = Field(default_factory=dict)
    """By task: the steps that every model makes."""

    @classmethod
    def find(cls, folder: Path) -> SharedSteps:
        """Returns what was decided in a run's folder so far."""
        return cls.read(folder) if cls.exists(folder) else cls()

    def of(self, task: str, *, minutes: float) -> int | None:
        """Returns the steps that were decided for a task and time; None if none were."""
        return self.num_steps[task] if self.minutes.get(task) == minutes else None


def share_steps(minutes: float, *, seconds_per_step: float) -> int:
    """Turns a time into steps that even the slowest of the compared models makes in it.

    With a time of its own each would make as many steps as the machine happens to leave it, and
    models that were trained for different numbers of steps can't be compared.

    Args:
        minutes: Of training, for each model.
        seconds_per_step: Of the slowest model.

    Example:
        >>> share_steps(2, seconds_per_step=0.5)
        240
    """
    return max(1, int(60 * minutes / seconds_per_step))


def decide_steps(
    folder: Path, task: str, *, minutes: float, measure: Callable[[], float], progress: Progress
) -> int:
    """Returns the steps that every model makes on a task, measured once and kept.

    Args:
        folder: Of the run that compares the models.
        task: Name of the task.
        minutes: Of training, for each model.
        measure: Returns the seconds of a step of the slowest model.
        progress: Where it is said.
    """
    known = SharedSteps.find(folder)
    decided = known.of(task, minutes=minutes)
    if decided is not None:
        return decided
    slowest = measure()
    num_steps = share_steps(minutes, seconds_per_step=slowest)
    progress.log(
        f"{task}: a step of the slowest model takes {slowest:.2f} s, so that {minutes:g} minutes "
        f"are at most {num_steps:,} steps, the same for every model"
    )
    SharedSteps(
        minutes={**known.minutes, task: minutes}, num_steps={**known.num_steps, task: num_steps}
    ).write(folder)
    return num_steps
