"""Where a teacher's outputs come from: each public module is a kind of teacher.

A kind has `recognises(name)`, which tells whether what the setting `teacher` names is of it, and
`TeacherType`, a `Teacher`. What no kind recognises is taken for a model of ours, whose errors say
what is wrong with it.
"""

from __future__ import annotations

from limbeck import listing
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.recipes.finetune.teachers._several import SeveralTeachers
from limbeck.recipes.finetune.teachers._teacher import Teacher

__all__ = ["Labeller", "ModelTeacher", "Teacher", "find_kind", "find_teacher", "is_labeller"]

_UNRECOGNISED = "own_model"


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
    """Returns the kind of teacher that a name is taken for, or several are.

    Files and addresses are told by their name alone, before any is looked for on the Hub.
    """
    if not isinstance(name, str):
        return SeveralTeachers
    kinds = {name: listing.load(__name__, name) for name in listing.list_names(__name__)}
    in_order = sorted(kinds.values(), key=lambda kind: issubclass(kind.TeacherType, ModelTeacher))
    fitting = (kind for kind in in_order if kind.recognises(name))
    found: type[Teacher] = next(fitting, kinds[_UNRECOGNISED]).TeacherType
    return found
