"""A model of one of our families, fine-tuned on the task: a folder or a Hub id."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from limbeck.checkpoints import resolve_folder
from limbeck.errors import LimbeckError
from limbeck.models import AutoConfig
from limbeck.recipes.finetune.teachers._model import ModelTeacher


def recognises(name: str) -> bool:
    """Tells whether there is a model of that name whose family is ours."""
    with suppress(LimbeckError):
        AutoConfig.from_pretrained(resolve_folder(name, weights=False))
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class OwnModel(ModelTeacher):
    """A model of ours, into all of which a loss can look."""


TeacherType = OwnModel
