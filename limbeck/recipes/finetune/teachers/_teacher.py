"""What every kind of teacher is to the distillation on a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from limbeck import listing
from limbeck.config import Settings, read_options
from limbeck.errors import SettingsError
from limbeck.losses import Loss, View
from limbeck.models import ModelConfig
from limbeck.objectives import Alignment, TeacherOutputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.runs import Adapter
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

    options_type: ClassVar[type[Settings]] = Settings
    """Class of its own settings, `teacher_options`."""
    default_loss: ClassVar[str | None] = None
    """What is learned from it where the settings don't say; None for what the task predicts."""
    brings_rows: ClassVar[bool] = False
    """Whether it may have texts to learn from of its own, so that none need be given."""

    settings: FinetuneSettings
    config: ModelConfig | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return ", ".join(self.settings.teachers)

    @property
    def adapter(self) -> Adapter | None:
        """What runs it, where that is another library."""
        return None

    @classmethod
    def read_options(cls, settings: FinetuneSettings) -> Settings:
        """Returns its own settings.

        Raises:
            SettingsError: If one is unknown or wrong.
        """
        given = settings.teacher_options
        if given and not cls.options_type.model_fields:
            raise SettingsError(
                f"teacher_options.{next(iter(given))} is for teachers that are no model, but "
                f"teacher = {', '.join(settings.teachers)} is {cls.about}; leave it out"
            )
        return read_options(cls.options_type, given, name="teacher_options")

    @classmethod
    def add_rows(
        cls,
        settings: FinetuneSettings,  # noqa: ARG003 - for kinds with rows of their own
        data: TaskData,
        progress: Progress,  # noqa: ARG003
    ) -> TaskData:
        """Returns the data with the teacher's own texts as rows to learn from, if it has any."""
        return data

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

    def keep_rows(self, data: TaskData, progress: Progress) -> TaskData:  # noqa: ARG002
        """Returns the data without rows that it says nothing of, where these may be left out."""
        return data

    @property
    def num_copies(self) -> int:
        """Texts that are made of each training row, which it says something of too."""
        return 0 if self.settings.augment is None else self.settings.augment.copies

    def plan(self, data: TaskData) -> dict[str, Any]:  # noqa: ARG002 - of kinds that cost
        """Returns what a dry run says of it."""
        return {}

    def align(
        self,
        data: TaskData,  # noqa: ARG002 - for kinds that read tokens
        losses: Mapping[str, Loss],  # noqa: ARG002
    ) -> Alignment | None:
        """Returns where its tokens and the student's stand, if they differ and are compared."""
        return None

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
                f"= {self.name} is {self.about}, which gives "
                f"{', '.join(sorted(self.gives))} only; accepted with it: "
                f"{', '.join(_losses_on(self.gives))}"
            )


def _losses_on(views: frozenset[View]) -> list[str]:
    """Returns the losses against a teacher that need no other outputs."""
    room = "limbeck.losses"
    types = {name: listing.load(room, name).Loss for name in listing.list_names(room)}
    return [
        name
        for name, loss in types.items()
        if loss.uses_teacher and loss.recipe is None and loss.needs <= views
    ]
