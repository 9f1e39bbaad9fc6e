"""A server: a large language model or a classifier behind HTTP that labels the texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError, shorten
from limbeck.losses import Loss
from limbeck.objectives import CachedTeacher, TeacherOutputs
from limbeck.recipes._secrets import KEY_HELP, names_secret
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._texts import (
    TAUGHT,
    Texts,
    examples_of,
    taught_examples,
    text_settings,
    written_texts,
)
from limbeck.recipes.finetune.teachers.server.address import (
    CHAT,
    find_key,
    find_model,
    find_url,
    is_address,
    require_use,
)
from limbeck.recipes.finetune.teachers.server.chat import Chat
from limbeck.recipes.finetune.teachers.server.client import Client, StoppedError
from limbeck.recipes.finetune.teachers.server.kept_answers import KeptAnswers, name_request
from limbeck.recipes.finetune.teachers.server.options import ServerOptions
from limbeck.recipes.finetune.teachers.server.routes import Predict, Route, Usage
from limbeck.tasks import EncodedExamples, TextExample
from limbeck.train import Progress

_ENOUGH_TO_TELL = 20
"""Answers of which none can be read, after which no more are paid for."""

recognises = is_address


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row that the server is asked of.

    Attributes:
        texts: Its text, or both.
        where: What it is called in messages.
        label: As the task's examples have it, or None.
    """

    texts: Texts
    where: str
    label: Any = None

    @classmethod
    def of(cls, split: str, index: int, example: TextExample) -> Self:
        """Returns a row of a split."""
        where = f"{split} example {index} ({shorten(example.text)})"
        return cls(texts=written_texts(example), where=where, label=example.label)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request that is to be made.

    Attributes:
        texts: Those that it is about.
        names: By what the answer to each is kept.
        about: The first of them, for messages.
    """

    texts: Sequence[Texts]
    names: Sequence[str]
    about: str


@dataclass(frozen=True, kw_only=True)
class Server(Labeller):
    """A server that is asked of each text once.

    Attributes:
        url: The whole address of the route.
        route: How it is asked.
        options: Its own settings.
        key_name: Variable of the key, if there is one.
    """

    about: ClassVar[str] = "a server"
    options_type: ClassVar[type[Settings]] = ServerOptions

    url: str
    route: Route
    options: ServerOptions
    key_name: str | None

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
        key_name = find_key(url, options)
        require_use(options, name, url)
        route: Route = Predict(reader, batch_size=options.batch_size)
        if url.endswith(CHAT):
            model = find_model(name) or options.model
            if not model:
                raise SettingsError(
                    f"teacher = {name} does not say which model answers; give openai://MODEL, or "
                    "teacher_options.model"
                )
            route = Chat.of(options, reader, model=model, has_pairs=has_pairs)
        return cls(settings=settings, url=url, route=route, options=options, key_name=key_name)

    @classmethod
    def read_options(cls, settings: FinetuneSettings) -> Settings:
        """Returns its own settings; what is given as a key is not said again."""
        for name in settings.teacher_options.keys() - ServerOptions.model_fields.keys():
            if names_secret(name):
                raise SettingsError(
                    f"teacher_options.{name} is no setting, since a key would stand in records; "
                    f"{KEY_HELP}"
                )
        return super().read_options(settings)

    @property
    def folder(self) -> Path:
        """Where the answers are kept."""
        return self.settings.teacher_cache or self.settings.out / "teacher"

    def plan(self, data: TaskData, *, scored: Sequence[str] = ()) -> dict[str, Any]:
        """Returns how many texts would be asked of, and about what that costs."""
        rows = [
            *taught_examples(data),
            *(row for split in scored for row in examples_of(data, split)),
        ]
        texts = dict.fromkeys(written_texts(example) for _, _, example in rows)
        names, kept = self._name(texts), KeptAnswers(self.folder)
        new = [text for text in texts if names[text] not in kept]
        # Texts that augment makes are not made yet: each about as long as that it is made of.
        copies = 0 if self.settings.augment is None else self.settings.augment.copies
        made = [written_texts(row) for _, _, row in examples_of(data, "train")] if copies else []
        usage = sum(map(self.route.estimate, [*new, *made * copies]), Usage())
        return {
            "teacher_texts": len(texts) + len(made) * copies,
            "teacher_texts_known": len(texts) - len(new),
            "teacher_texts_to_ask": len(new) + len(made) * copies,
            "teacher_tokens_about": usage.num_read + usage.num_written,
            **(
                {"teacher_cost_about": round(self.options.cost_of(usage), 4)}
                if self.options.has_prices
                else {}
            ),
        }

    def load(
        self,
        data: TaskData,
        made: Made,
        *,
        losses: Mapping[str, Loss],  # noqa: ARG002 - they need logits
        progress: Progress,
    ) -> TeacherOutputs:
        """Asks for what is not known yet, and returns what looks all answers up."""
        rows = [Asked.of(*row) for row in taught_examples(data)]
        for number, (_, ids) in enumerate(made):
            text = data.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
            where = f"{AUGMENTED} row {number} ({shorten(text)})"
            rows.append(Asked(texts=(text,), where=where))
        logits = torch.tensor(self.answer(rows, progress))

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
        about = {row.texts: row.where for row in reversed(rows)}  # where texts are first
        names, kept = self._name(about), KeptAnswers(self.folder)
        new = [texts for texts in reversed(about) if names[texts] not in kept]
        if new:
            with kept.own(progress):
                new = [texts for texts in new if names[texts] not in kept]  # by another process
                self._ask(self._questions(new, names, about), kept, progress)
        found: list[Logits | DataError] = []
        for row in rows:
            one = self._read(kept[names[row.texts]], row.where)
            by_label = self.options.missing == "label" and row.label is not None
            is_certain = isinstance(one, DataError) and by_label
            found.append(self.route.reader.certain(row.label) if is_certain else one)
        return found

    def _read(self, answer: Any, where: str) -> Logits | DataError:
        """Returns what an answer says, or why it can't be read."""
        try:
            return self.route.read(answer, f"{self.url}, {where}")
        except DataError as error:
            return error

    def _name(self, texts: Iterable[Texts]) -> dict[Texts, str]:
        """Returns by what the answer to each text is kept: the question about it alone."""
        return {text: name_request(self.url, self.route.body([text])) for text in texts}

    def _questions(
        self, texts: Sequence[Texts], names: Mapping[Texts, str], about: Mapping[Texts, str]
    ) -> list[Question]:
        size = self.route.batch_size
        parts = [texts[i : i + size] for i in range(0, len(texts), size)]
        return [
            Question(texts=part, names=[names[text] for text in part], about=about[part[0]])
            for part in parts
        ]

    def _ask(self, questions: Sequence[Question], kept: KeptAnswers, progress: Progress) -> None:
        """Asks all questions, some at a time; each answer is kept before anything else is done."""
        total = sum(len(question.texts) for question in questions)
        client = Client(
            self.url,
            key=os.environ.get(self.key_name) if self.key_name else None,
            key_name=self.key_name,
            timeout_seconds=self.options.timeout_seconds,
            retries=self.options.retries,
            concurrency=self.options.concurrency,
            kept_in=self.folder,
        )

        def ask(question: Question) -> list[Any]:
            try:
                answers = client.ask(
                    self.route.body(question.texts),
                    lambda answer: self.route.split(answer, len(question.texts)),
                    about=question.about,
                )
                kept.add(dict(zip(question.names, answers, strict=True)))
            except BaseException:
                client.stop()  # here, before this thread begins another question
                raise
            return answers

        unread: list[DataError] | None = [] if self.options.missing == "refuse" else None
        usage, num_asked = Usage(), 0
        with (
            progress.stage("asking the teacher", total=total, unit="texts") as stage,
            ThreadPoolExecutor(self.options.concurrency) as pool,
        ):
            asked = {pool.submit(ask, question): question for question in questions}
            try:
                for done in as_completed(asked):
                    if isinstance(done.exception(), StoppedError):
                        continue  # since another has failed, which is to be told
                    answers = done.result()
                    usage = sum(map(self.route.usage, answers), usage)
                    num_asked += len(answers)
                    stage.advance(len(answers))
                    if self.options.has_prices:
                        stage.update(cost=round(self.options.cost_of(usage), 4))
                    if unread is not None:
                        said = [self._read(answer, asked[done].about) for answer in answers]
                        unread += [one for one in said if isinstance(one, DataError)]
                        if len(unread) < num_asked:
                            unread = None
                        elif num_asked >= _ENOUGH_TO_TELL:
                            raise _refuse(unread)
            except BaseException:
                client.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                client.close()
                progress.log(
                    f"{self.settings.teacher}: {num_asked:,} texts asked of, "
                    f"{self.options.describe(usage)}"
                )


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
