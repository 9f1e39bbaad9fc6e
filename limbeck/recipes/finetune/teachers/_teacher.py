"""What every kind of teacher is to the distillation on a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from limbeck import listing
from limbeck.errors import SettingsError
from limbeck.losses import Loss, View
from limbeck.models import ModelConfig
from limbeck.objectives import TeacherOutputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Teacher(ABC):
    """A teacher that fits a student and its task; nothing of it is loaded or computed yet.

    Attributes:
        settings: Of the run.
        config: The teacher's configuration; None where it is no model that can be looked into.
    """

    gives: ClassVar[frozenset[View]]
    """The outputs that losses can have of it."""
    about: ClassVar[str]
    """What it is, for messages: `a file of predictions`."""

    settings: FinetuneSettings
    config: ModelConfig | None = None

    @classmethod
    @abstractmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Checks all that can be checked before anything is computed; labels match by name.

        Args:
            settings: Of the run; `settings.teacher` names the teacher.
            data: The student's.

        Raises:
            SettingsError: If the teacher can't teach this student.
            DataError: If its labels are not the task's, or what it says can't be used.
            MissingHeadError: If it has no head, or another task's.
        """

    @abstractmethod
    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],
        progress: Progress,
    ) -> TeacherOutputs:
        """Returns what gives its outputs for the rows of `data.training`, the model in memory.

        Args:
            data: The student's, with the rows that were made.
            made: Those rows, which are the last of `data.training`.
            losses: What is learned from it, by name.
            progress: Where it reports.
        """

    def require_losses(self, losses: Mapping[str, Loss]) -> None:
        """Refuses losses on outputs that such a teacher can't give.

        Raises:
            SettingsError: Names what it gives, and the losses that do with that.
        """
        for name, loss in losses.items():
            if loss.needs <= self.gives:
                continue
            raise SettingsError(
                f"losses.{name} compares the models' {', '.join(sorted(loss.needs))}, but teacher "
                f"= {self.settings.teacher} is {self.about}, which gives "
                f"{', '.join(sorted(self.gives))} only; accepted with it: "
                f"{', '.join(_losses_on(self.gives))}"
            )


def _losses_on(views: frozenset[View]) -> list[str]:
    """Returns the losses against a teacher that need no other outputs."""
    room = "limbeck.losses"
    types = {name: listing.load(room, name).Loss for name in listing.list_names(room)}
    return [name for name, loss in types.items() if loss.uses_teacher and loss.needs <= views]
