"""Several teachers as one: what they say together is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from limbeck.errors import SettingsError
from limbeck.losses import Loss, View
from limbeck.objectives import MeanTeacher, TeacherOutputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._kinds import find_kind_of_one
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.recipes.finetune.teachers._teacher import Teacher
from limbeck.runs import Adapter
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class SeveralTeachers(Teacher):
    """Models that were each fine-tuned on the task; each may be of a family of its own.

    Attributes:
        members: The teachers, each of which fits the student alone.
    """

    gives: ClassVar[frozenset[View]] = frozenset({"logits"})
    about: ClassVar[str] = "a list of several"

    members: tuple[ModelTeacher, ...]

    @property
    def adapter(self) -> Adapter | None:
        """What runs those of them that are none of our families."""
        return next((m.adapter for m in self.members if m.adapter is not None), None)

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Checks each as if it were the only one."""
        members = []
        for number, name in enumerate(settings.teachers):
            kind = find_kind_of_one(name)
            if not issubclass(kind, ModelTeacher):
                raise SettingsError(
                    f"teacher.{number} = {name} is {kind.about}; accepted among several: models "
                    "that were fine-tuned on the task"
                )
            alone = settings.model_copy(update={"teacher": name, "teacher_weights": None})
            kind.read_options(alone)
            members.append(kind.prepare(alone, data))
        return cls(settings=settings, members=tuple(members))

    def require_losses(self, losses: Mapping[str, Loss]) -> None:
        """Refuses losses on what several can't say together, or one of them not alone."""
        super().require_losses(losses)
        for member in self.members:
            member.require_losses(losses)

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],
        progress: Progress,
    ) -> TeacherOutputs:
        """Loads each, or its logits from the cache."""
        members = [
            (
                member.load(data, made, losses=losses, progress=progress),
                member.align(data, losses),
            )
            for member in self.members
        ]
        weights = self.settings.teacher_weights or (1.0,) * len(members)
        shares = [weight / sum(weights) for weight in weights]
        return MeanTeacher(data.task, members, shares)
