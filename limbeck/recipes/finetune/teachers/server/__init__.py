"""A server: a large language model or a classifier behind HTTP that labels the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError
from limbeck.losses import Loss
from limbeck.objectives import CachedTeacher, TeacherOutputs
from limbeck.recipes._secrets import refuse_secrets
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._texts import (
    TAUGHT,
    examples_of,
    taught_examples,
    text_settings,
)
from limbeck.recipes.finetune.teachers.server.address import (
    CHAT,
    find_model,
    find_url,
    is_address,
    require_use,
)
from limbeck.recipes.finetune.teachers.server.asking import Asked, Asker, Watch
from limbeck.recipes.finetune.teachers.server.chat import Chat
from limbeck.recipes.finetune.teachers.server.client import RefusedError
from limbeck.recipes.finetune.teachers.server.options import ServerOptions
from limbeck.recipes.finetune.teachers.server.routes import LabelRoute, Predict
from limbeck.tasks import EncodedExamples
from limbeck.train import Progress

_ENOUGH_TO_TELL = 20
"""Answers of which none can be read, after which no more are paid for."""

recognises = is_address


@dataclass(frozen=True, kw_only=True)
class Server(Labeller):
    """A server that is asked of each text once.

    Attributes:
        asker: Asks it.
        route: How it is asked, and what its answers mean.
        options: Its own settings.
    """

    about: ClassVar[str] = "a server"
    options_type: ClassVar[type[Settings]] = ServerOptions

    asker: Asker
    route: LabelRoute
    options: ServerOptions

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Checks the address and the settings; asks nothing."""
        name = str(settings.teacher)
        options = cls.read_options(settings)
        assert isinstance(options, ServerOptions)
        columns = text_settings(settings, teacher=name)
        renamed = getattr(columns, "rename_labels", {})
        reader = AnswerReader.of(data.task, renamed=renamed, teacher=name)
        has_pairs = columns.text_pair_column is not None
        if settings.augment is not None and has_pairs:
            raise SettingsError(
                f"augment makes rows of both texts of a pair as one, which teacher = {name} can't "
                "be asked of; leave it out, or give a model as teacher"
            )
        if settings.augment is not None and options.missing == "drop":
            raise SettingsError(
                "teacher_options.missing = 'drop' leaves out rows of the data, but none that "
                "augment makes; leave one of the two out"
            )
        url = find_url(name, options)
        require_use(options, name, url)
        route: LabelRoute = Predict(reader, batch_size=options.batch_size)
        if url.endswith(CHAT):
            model = find_model(name) or options.model
            if not model:
                raise SettingsError(
                    f"teacher = {name} does not say which model answers; give openai://MODEL, or "
                    "teacher_options.model"
                )
            route = Chat.of(options, reader, model=model, has_pairs=has_pairs)
        asker = Asker.of(settings, url, route, options)
        return cls(settings=settings, asker=asker, route=route, options=options)

    @classmethod
    def read_options(cls, settings: FinetuneSettings) -> Settings:
        """Returns its own settings; what is given as a key is not said again."""
        given, request = settings.teacher_options, settings.teacher_options.get("request")
        fields = request.items() if isinstance(request, dict) else ()
        words = {f"request.{name}" for name, value in fields if isinstance(value, str)}
        refuse_secrets((given.keys() | words) - ServerOptions.model_fields.keys())
        return super().read_options(settings)

    def plan(self, data: TaskData, *, scored: Sequence[str] = ()) -> dict[str, Any]:
        """Returns how many texts would be asked of, and about what that costs."""
        rows = [
            *taught_examples(data),
            *(row for split in scored for row in examples_of(data, split)),
        ]
        return self.asker.plan(data, rows, copies=self.num_copies)

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],  # noqa: ARG002 - they need logits
        progress: Progress,
    ) -> TeacherOutputs:
        """Asks for what is not known yet, and returns what looks all answers up."""
        logits = torch.tensor(self.answer(Asked.all_of(data, made), progress))

        def look_up(positions: Sequence[int]) -> Sequence[Tensor]:
            return list(logits[list(positions)])

        return CachedTeacher(look_up)

    def predict(self, data: TaskData, split: str, progress: Progress) -> Sequence[Tensor]:
        """Asks for what is not known yet of a split, and returns all."""
        rows = [replace(Asked.of(*row), label=None) for row in examples_of(data, split)]
        found = self._find_answers(rows, progress)
        if wrong := [one for one in found if isinstance(one, DataError)]:
            raise DataError(
                f"{_count(wrong)}, so that the teacher has no score on {split}; ask another "
                "question (teacher_options.prompt), or take these rows out"
            )
        return [torch.tensor(logits) for logits in found]

    def keep_rows(self, data: TaskData, progress: Progress) -> TaskData:
        """Asks, and returns the data without the rows whose answers can't be read, if they may go.

        Raises:
            DataError: If none is left.
        """
        if self.options.missing != "drop":
            return data
        taught = taught_examples(data)
        found = self._find_answers([Asked.of(*row) for row in taught], progress)
        wrong = {
            (split, index): error
            for (split, index, _), error in zip(taught, found, strict=True)
            if isinstance(error, DataError)
        }
        kept = {
            split: [row for row in data.examples[split] if (split, row.index) not in wrong]
            for split in TAUGHT
            if split in data.examples
        }
        if not any(kept.values()):
            raise DataError(
                f"{_count(list(wrong.values()))}, so that no text is left to learn from; ask "
                "another question (teacher_options.prompt)"
            )
        progress.log(f"{len(wrong):,} texts are left out, whose answers can't be read")
        others = {split: rows for split, rows in data.examples.items() if split not in kept}
        left = {split: EncodedExamples.of(rows) for split, rows in kept.items() if rows}
        return replace(data, examples={**left, **others})

    def answer(self, rows: Sequence[Asked], progress: Progress) -> list[Logits]:
        """Returns what the server says of rows.

        Raises:
            LimbeckError: If the server can't be asked, or an answer can't be read.
        """
        found = self._find_answers(rows, progress)
        if wrong := [one for one in found if isinstance(one, DataError)]:
            raise _refuse(wrong)
        return [one for one in found if not isinstance(one, DataError)]

    def _find_answers(self, rows: Sequence[Asked], progress: Progress) -> list[Logits | DataError]:
        """Returns what the server says of rows, or why that can't be read; each text asked once."""
        refuses = self.options.missing == "refuse"
        watch = self._watch() if refuses else None
        answers = self.asker.find_answers(rows, progress, watch=watch, may_refuse=not refuses)
        found: list[Logits | DataError] = []
        for row, answer in zip(rows, answers, strict=True):
            is_refused = isinstance(answer, RefusedError)
            one = answer if is_refused else self._read(answer, row.where)
            by_label = self.options.missing == "label" and row.label is not None
            is_certain = isinstance(one, DataError) and by_label
            found.append(self.route.reader.certain(row.label) if is_certain else one)
        return found

    def _read(self, answer: Any, where: str) -> Logits | DataError:
        """Returns what an answer says, or why it can't be read."""
        try:
            return self.route.read(answer, f"{self.asker.url}, {where}")
        except DataError as error:
            return error

    def _watch(self) -> Watch:
        """Returns what ends the questions once it is clear that no answer can be read."""
        unread: list[DataError] = []
        is_read = False

        def watch(answers: Sequence[Any], about: str) -> None:
            nonlocal is_read
            if is_read:
                return
            said = [self._read(answer, about) for answer in answers]
            unread.extend(one for one in said if isinstance(one, DataError))
            is_read = any(not isinstance(one, DataError) for one in said)
            if not is_read and len(unread) >= _ENOUGH_TO_TELL:
                raise _refuse(unread)

        return watch


def _refuse(wrong: Sequence[DataError]) -> DataError:
    """Returns the error that answers can't be read."""
    return DataError(
        f"{_count(wrong)}. Ask another question (teacher_options.prompt), or pay for no answer "
        "again: teacher_options.missing=drop leaves these rows out, and missing=label learns the "
        "labels of those that have one"
    )


def _count(wrong: Sequence[DataError]) -> str:
    others = f", and {len(wrong) - 1:,} others can't be read either" * (len(wrong) > 1)
    return f"{wrong[0]}{others}"


TeacherType = Server
