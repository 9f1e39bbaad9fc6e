"""Asking a server of texts, each once: what is known, what is new, and what it costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from limbeck.errors import shorten
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._texts import (
    Texts,
    examples_of,
    taught_examples,
    written_texts,
)
from limbeck.recipes.finetune.teachers.server.address import find_key
from limbeck.recipes.finetune.teachers.server.client import Client, RefusedError, StoppedError
from limbeck.recipes.finetune.teachers.server.kept_answers import KeptAnswers, name_request
from limbeck.recipes.finetune.teachers.server.options import AskingOptions
from limbeck.recipes.finetune.teachers.server.routes import Route, Usage
from limbeck.tasks import TextExample
from limbeck.train import Progress

_ENOUGH_REFUSED = 20
"""Questions that a server does not take, with none answered, after which no more is asked."""

Watch = Callable[[Sequence[Any], str], None]
"""Sees the answers to a question, and what that was about, as they come; may end it all."""


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

    @classmethod
    def all_of(cls, data: TaskData, made: Made) -> list[Self]:
        """Returns the rows of `data.training`, the last of which were made."""
        rows = [cls.of(*row) for row in taught_examples(data)]
        for number, (_, ids) in enumerate(made):
            text = data.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
            rows.append(cls(texts=(text,), where=f"{AUGMENTED} row {number} ({shorten(text)})"))
        return rows


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
class Asker:
    """Asks one address, and keeps what it answers.

    Attributes:
        name: What the setting `teacher` calls the server.
        url: The whole address of the route.
        route: What is asked, and how answers are divided.
        options: Of the server.
        key_name: Variable of the key, if there is one.
        folder: Where the answers are kept.
    """

    name: str
    url: str
    route: Route
    options: AskingOptions
    key_name: str | None
    folder: Path

    @classmethod
    def of(cls, settings: FinetuneSettings, url: str, route: Route, options: AskingOptions) -> Self:
        """Returns what asks an address for a run.

        Raises:
            SettingsError: If it needs a key that is not there, or must not be sent.
        """
        return cls(
            name=str(settings.teacher),
            url=url,
            route=route,
            options=options,
            key_name=find_key(url, options),
            folder=settings.teacher_cache or settings.out / "teacher",
        )

    def plan(
        self, data: TaskData, rows: Iterable[tuple[str, int, TextExample]], *, copies: int
    ) -> dict[str, Any]:
        """Returns how many texts would be asked of, and about what that costs.

        Args:
            data: The student's.
            rows: Those that are to be asked of.
            copies: Texts that are made of each training row, asked of too.
        """
        texts = dict.fromkeys(written_texts(example) for _, _, example in rows)
        names, kept = self._name(texts), KeptAnswers(self.folder)
        new = [text for text in texts if names[text] not in kept]
        # Texts that augment makes are not made yet: each about as long as that it is made of.
        made = [written_texts(row) for _, _, row in examples_of(data, "train")] if copies else []
        usage = sum(map(self.route.estimate, [*new, *made * copies]), Usage())
        cost = {"teacher_cost_about": round(self.options.cost_of(usage), 4)}
        return {
            "teacher_texts": len(texts) + len(made) * copies,
            "teacher_texts_known": len(texts) - len(new),
            "teacher_texts_to_ask": len(new) + len(made) * copies,
            "teacher_tokens_about": usage.num_read + usage.num_written,
            **(cost if self.options.has_prices else {}),
        }

    def find_answers(
        self,
        rows: Sequence[Asked],
        progress: Progress,
        *,
        watch: Watch | None = None,
        may_refuse: bool = False,
    ) -> list[Any | RefusedError]:
        """Returns what the server answers to each row, as it is kept; each text asked of once.

        Args:
            rows: The rows.
            progress: Where it reports.
            watch: Sees the answers as they come.
            may_refuse: Whether the server may take no question of some texts, as by a filter, for
                which the refusal is returned. That is not kept: it costs nothing, and another time
                may be otherwise.

        Raises:
            RefusedError: If it does all the same.
            LimbeckError: If the server can't be asked.
        """
        about = {row.texts: row.where for row in reversed(rows)}  # where texts are first
        names, kept = self._name(about), KeptAnswers(self.folder)
        new = [texts for texts in reversed(about) if names[texts] not in kept]
        refused: dict[str, RefusedError] = {}
        if new:
            with kept.own(progress):
                new = [texts for texts in new if names[texts] not in kept]  # by another process
                questions = self._questions(new, names, about)
                refused = self._ask(questions, kept, progress, watch, may_refuse=may_refuse)
        found = (names[row.texts] for row in rows)
        return [refused[name] if name in refused else kept[name] for name in found]

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

    def _ask(
        self,
        questions: Sequence[Question],
        kept: KeptAnswers,
        progress: Progress,
        watch: Watch | None,
        *,
        may_refuse: bool,
    ) -> dict[str, RefusedError]:
        """Asks all questions, some at a time; each answer is kept before anything else is done.

        Returns:
            By name, of what the server takes no question.
        """
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
            except RefusedError as error:
                if may_refuse and len(question.texts) == 1:
                    refused[question.names[0]] = error
                    return []
                client.stop()
                raise
            except BaseException:
                client.stop()  # here, before this thread begins another question
                raise
            return answers

        refused: dict[str, RefusedError] = {}
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
                    if len(refused) >= _ENOUGH_REFUSED and not num_asked:
                        raise next(iter(refused.values()))
                    usage = sum(map(self.route.usage, answers), usage)
                    num_asked += len(answers)
                    stage.advance(len(answers))
                    if self.options.has_prices:
                        stage.update(cost=round(self.options.cost_of(usage), 4))
                    if watch is not None:
                        watch(answers, asked[done].about)
            except BaseException:
                client.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                client.close()
                progress.log(
                    f"{self.name}: {num_asked:,} texts asked of, {self.options.describe(usage)}"
                )
        return refused
