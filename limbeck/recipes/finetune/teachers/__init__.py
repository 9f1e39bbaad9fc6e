"""Where a teacher's outputs come from: each public module is a kind of teacher.

A kind has `recognises(name)`, which tells whether what the setting `teacher` names is of it, and
`TeacherType`, a `Teacher`. What no kind recognises is taken for a model of ours, whose errors say
what is wrong with it.
"""

from __future__ import annotations

from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._kinds import find_kind_of_one
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.recipes.finetune.teachers._several import SeveralTeachers
from limbeck.recipes.finetune.teachers._teacher import Teacher

__all__ = ["Labeller", "ModelTeacher", "Teacher", "find_kind", "find_teacher", "is_labeller"]


def find_teacher(settings: FinetuneSettings, data: TaskData) -> Teacher:
    """Returns the teacher that `settings.teacher` names, which fits the student and the task.

    Args:
        settings: Of the run.
        data: The student's.

    Raises:
        LimbeckError: If it does not fit, as its kind says.
    """
    assert settings.teacher is not None
    kind = find_kind(settings.teacher)
    kind.read_options(settings)
    return kind.prepare(settings, data)


def is_labeller(name: str) -> bool:
    """Tells whether a name is that of a teacher that is no model, but says something of texts."""
    return issubclass(find_kind(name), Labeller)


def find_kind(name: str | tuple[str, ...]) -> type[Teacher]:
    """Returns the kind of teacher that a name is taken for, or several are."""
    return find_kind_of_one(name) if isinstance(name, str) else SeveralTeachers
