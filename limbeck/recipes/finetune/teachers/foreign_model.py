"""A model of a family that only `transformers` has, fine-tuned on the task: a folder or Hub id."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from limbeck.checkpoints import resolve_folder
from limbeck.errors import LimbeckError, SettingsError, with_article
from limbeck.losses import Loss, View
from limbeck.models import AnyModel, ForeignModel, find_foreign_family
from limbeck.objectives import TeacherOutputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.models import describe_adapter
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.runs import Adapter
from limbeck.train import Progress

_STATES = frozenset({"last_hidden_state", "hidden_states"})


def recognises(name: str) -> bool:
    """Tells whether there is a model of that name whose family is none of ours."""
    with suppress(LimbeckError):
        return find_foreign_family(resolve_folder(name, weights=False)) is not None
    return False


@dataclass(frozen=True, kw_only=True)
class ForeignTeacher(ModelTeacher):
    """A model that `transformers` runs, which shows what stands between its layers, not in them."""

    gives: ClassVar[frozenset[View]] = frozenset(
        {"logits", "pooled", "last_hidden_state", "hidden_states"}
    )
    about: ClassVar[str] = "a model that transformers runs"

    @property
    def adapter(self) -> Adapter | None:
        """What runs it."""
        return describe_adapter(self.config, self.task.auto_model.kind)

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],
        progress: Progress,
    ) -> TeacherOutputs:
        """Says what runs the model, and returns it, or its logits from the cache."""
        adapter = self.adapter
        assert adapter is not None
        progress.log(
            f"teacher {self.name}: {adapter.model_class}, run by {adapter.name} {adapter.version}"
        )
        return super().load(data, made, losses=losses, progress=progress)

    def load_model(self, data: TaskData, losses: Mapping[str, Loss]) -> AnyModel:
        """Loads the model.

        Raises:
            SettingsError: If a loss compares states, and it has fewer than tokens or others than
                those of its layers.
        """
        model = super().load_model(data, losses)
        assert isinstance(model, ForeignModel)
        needy = [name for name, loss in losses.items() if loss.needs & _STATES]
        if needy and not model.gives_states:
            raise SettingsError(
                f"losses.{needy[0]} compares states of tokens, but teacher = "
                f"{self.name} is {with_article(model.class_name)}, which has not one for each "
                "token and layer; accepted with it: losses on logits"
            )
        return model


TeacherType = ForeignTeacher
