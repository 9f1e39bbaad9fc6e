"""The fine-tuning of a student as a part of another recipe, which names the model and the task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from limbeck.errors import SettingsError
from limbeck.losses import build_loss
from limbeck.recipes._settings import LearningSettings
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.recipes.finetune.distillation import learns_from_logits
from limbeck.recipes.finetune.settings import FinetuneSettings

PASSED_ON = {*TaskSettings.model_fields, *LearningSettings.model_fields} - {"model", "out"}
"""Settings of such a recipe that every fine-tuning takes over."""


class OfStudents(Protocol):
    """The settings of a recipe whose model teaches students on a task."""

    @property
    def model(self) -> str:
        """The teacher."""

    @property
    def out(self) -> Path:
        """The recipe's run folder."""

    @property
    def losses(self) -> dict[str, dict[str, Any]]:
        """What students learn from the teacher."""

    @property
    def finetune(self) -> dict[str, Any]:
        """Further settings of every fine-tuning."""

    def model_dump(self, *, include: set[str]) -> dict[str, Any]:
        """Returns some of the settings by name."""


def make_student_settings(
    settings: OfStudents, changes: Mapping[str, Any], *, recipe: str
) -> FinetuneSettings:
    """Returns the settings of a fine-tuning with a recipe's model as the teacher.

    Args:
        settings: Of the recipe; its `finetune` are further settings of the user's.
        changes: What makes this student: its model, its folder and the like.
        recipe: Name of the recipe.

    Raises:
        SettingsError: If a setting is wrong, or not for the user to set.
    """
    values = {
        **settings.model_dump(include=PASSED_ON),
        "teacher": settings.model,
        "teacher_cache": _teacher_cache(settings),
        "role": "student",
        **changes,
    }
    require_further(settings.finetune, values, recipe=recipe)
    return FinetuneSettings.from_values(values | settings.finetune, where="finetune")


def require_further(finetune: Mapping[str, Any], own: Mapping[str, Any], *, recipe: str) -> None:
    """Refuses settings of a fine-tuning that the recipe which makes it decides.

    Args:
        finetune: The user's.
        own: The recipe's.
        recipe: Its name.

    Raises:
        SettingsError: Names the first.
    """
    taken = sorted(own.keys() & finetune.keys())
    if taken:
        raise SettingsError(
            f"finetune.{taken[0]} is not for you to set: it is a setting of {recipe} itself, or "
            "differs between the students"
        )


def _teacher_cache(settings: OfStudents) -> Path | None:
    """Returns where all students find the teacher's logits, if logits are all they learn from."""
    losses = {name: build_loss(name, values) for name, values in settings.losses.items()}
    return settings.out / "teacher" / "cache" if learns_from_logits(losses) else None
