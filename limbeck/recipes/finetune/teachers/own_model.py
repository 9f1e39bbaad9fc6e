"""A model of one of our families, fine-tuned on the task: a folder or a Hub id."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from limbeck.checkpoints import hash_model, resolve_folder
from limbeck.errors import LimbeckError
from limbeck.models import AutoConfig, Model
from limbeck.recipes._tasks.data import TaskData, read_inputs
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels, require_same_inputs
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.train import choose_device


def recognises(name: str) -> bool:
    """Tells whether there is a model of that name whose family is ours."""
    with suppress(LimbeckError):
        AutoConfig.from_pretrained(resolve_folder(name, weights=False))
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class OwnModel(ModelTeacher):
    """A model of ours.

    Attributes:
        folder: Its folder.
    """

    folder: Path

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Checks that it reads the student's tokens and was fine-tuned on the task."""
        assert settings.teacher is not None
        folder = resolve_folder(settings.teacher)
        config, tokenizer = read_inputs(folder)
        name = f"the teacher {settings.teacher}"
        require_same_inputs(data, config, tokenizer, name=name)
        require_head(data.task, folder, name=settings.teacher, setting="teacher = ")
        return cls(
            settings=settings,
            folder=folder,
            config=config,
            task=match_labels(data.task, config, name=name),
            tokenizer=tokenizer,
        )

    def load_model(self, data: TaskData) -> Model:
        """Loads the model with its head."""
        model = load_fine_tuned(data.task, self.folder, name=str(self.settings.teacher))
        return model.to(choose_device(self.settings.device))

    def fingerprint(self) -> str:
        """Returns the checksum of its folder's model."""
        return hash_model(self.folder)


TeacherType = OwnModel
