"""A server that embeds: the student's pooled vectors are compared with its vectors of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch

from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.losses import Loss, View
from limbeck.models import VectorConfig
from limbeck.objectives import PooledTeacher, TeacherOutputs
from limbeck.recipes._secrets import refuse_secrets
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._teacher import Teacher
from limbeck.recipes.finetune.teachers._texts import taught_examples, text_settings
from limbeck.recipes.finetune.teachers.server.address import (
    EMBEDDINGS,
    find_url_of_vectors,
    is_address_of_vectors,
)
from limbeck.recipes.finetune.teachers.server.asking import Asked, Asker
from limbeck.recipes.finetune.teachers.server.options import VectorsOptions
from limbeck.recipes.finetune.teachers.server.vectors import Embed
from limbeck.train import Progress

recognises = is_address_of_vectors


@dataclass(frozen=True, kw_only=True)
class VectorsServer(Teacher):
    """A server that is asked for the vector of each text once.

    Attributes:
        asker: Asks it.
        route: How it is asked.
    """

    gives: ClassVar[frozenset[View]] = frozenset({"pooled"})
    about: ClassVar[str] = "a server of vectors"
    options_type: ClassVar[type[Settings]] = VectorsOptions
    default_loss: ClassVar[str | None] = "pooled_cosine"

    asker: Asker
    route: Embed

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:  # noqa: ARG003
        """Checks the address and the settings; asks nothing."""
        name = str(settings.teacher)
        options = cls.read_options(settings)
        assert isinstance(options, VectorsOptions)
        if text_settings(settings, teacher=name).text_pair_column is not None:
            raise SettingsError(
                f"teacher = {name} gives vectors of single texts, but task = {settings.task} is "
                "over pairs; accepted: a task over single texts, or a model as teacher"
            )
        url = find_url_of_vectors(name)
        is_openai = url.endswith(EMBEDDINGS)
        if is_openai and not options.model:
            raise SettingsError(
                f"teacher = {name} does not say which model embeds; give teacher_options.model"
            )
        if options.dimensions is None:
            raise SettingsError(
                f"teacher = {name} does not say how wide its vectors are; give "
                "teacher_options.dimensions, such as 384"
            )
        model = options.model if is_openai else None
        route = Embed(options.dimensions, model, batch_size=options.batch_size)
        return cls(
            settings=settings,
            config=VectorConfig(hidden_size=options.dimensions),
            asker=Asker.of(settings, url, route, options),
            route=route,
        )

    @classmethod
    def read_options(cls, settings: FinetuneSettings) -> Settings:
        """Returns its own settings; what is given as a key is not said again."""
        refuse_secrets(settings.teacher_options.keys() - VectorsOptions.model_fields.keys())
        return super().read_options(settings)

    def plan(self, data: TaskData) -> dict[str, Any]:
        """Returns how many texts would be asked of, and about what that costs."""
        return self.asker.plan(data, taught_examples(data), copies=self.num_copies)

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],  # noqa: ARG002 - they need vectors
        progress: Progress,
    ) -> TeacherOutputs:
        """Asks for what is not known yet, and returns what looks all vectors up."""
        rows = Asked.all_of(data, made)
        # The first answer shows whether the width is right, before the others are paid for.
        answers = self.asker.find_answers(rows, progress, watch=self._read_all)
        vectors = [
            self.route.read(kept, f"{self.asker.url}, {row.where}")
            for row, kept in zip(rows, answers, strict=True)
        ]
        return PooledTeacher(torch.tensor(vectors))

    def _read_all(self, answers: Sequence[Any], about: str) -> None:
        for answer in answers:
            self.route.read(answer, f"{self.asker.url}, {about}")


TeacherType = VectorsServer
