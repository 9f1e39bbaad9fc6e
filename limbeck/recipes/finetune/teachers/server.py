"""A server: a large language model or a classifier behind HTTP that labels the texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

import torch
from pydantic import Field
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError, shorten
from limbeck.losses import Loss
from limbeck.metrics import LabelSets
from limbeck.objectives import CachedTeacher, TeacherOutputs
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._client import Client, StoppedError
from limbeck.recipes.finetune.teachers._kept_answers import KeptAnswers, name_request
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._routes import Chat, Predict, Route, Usage
from limbeck.recipes.finetune.teachers._texts import (
    TAUGHT,
    Texts,
    examples_of,
    taught_examples,
    text_settings,
    written_texts,
)
from limbeck.tasks import EncodedExamples, TextExample
from limbeck.train import Progress

_OPENAI: Final = "openai://"
_SCHEMES: Final = (_OPENAI, "https://", "http://")
_OPENAI_URL: Final = "https://api.openai.com/v1"
_OPENAI_KEY: Final = "OPENAI_API_KEY"
_CHAT: Final = "/chat/completions"
_SECRET = re.compile(r"(key|token|secret|password|signature)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_KEY_HELP: Final = (
    "put the key into the environment, and its variable's name, such as OPENAI_API_KEY, into "
    "teacher_options.key_variable"
)
_MILLION = 10**6


class ServerOptions(Settings):
    """How a server is asked."""

    base_url: str | None = None
    """For `openai://MODEL`: where OpenAI's routes are, such as `http://localhost:8000/v1`; by
    default OpenAI's own."""
    model: str | None = None
    """For `http(s)://.../chat/completions`: the model's name there."""
    key_variable: str | None = None
    """Variable of the environment that holds the key; by default `OPENAI_API_KEY` where OpenAI
    itself is asked, none elsewhere. There is no setting for the key itself."""
    prompt: str | None = Field(default=None, min_length=1)
    """Question to a language model, with `{text}`, `{labels}` and, for pairs, `{text_pair}`."""
    logprobs: bool = False
    """Learn from the log-probabilities of the answer's first token, where a language model gives
    them; it must tell the labels apart."""
    request: dict[str, Any] = Field(default={"temperature": 0, "max_tokens": 64})
    """Further fields of a question to a language model. Some models take others: `{
    max_completion_tokens = 2000, reasoning_effort = "low" }`."""
    confidence: float = Field(default=1.0, gt=0.5, le=1)
    """Probability of a label in words, where there are no log-probabilities; the other labels share
    the rest."""
    batch_size: int = Field(default=32, ge=1)
    """Texts in one question to a route `/predict`."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Questions at a time."""
    timeout_seconds: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Time that an answer may take."""
    retries: int = Field(default=5, ge=0)
    """Further tries after a fault that may pass, each after a longer wait, or the one that the
    server asks for."""
    missing: Literal["refuse", "label", "drop"] = "refuse"
    """Answers that can't be read, such as none of the labels, are refused after all texts were
    asked of; or `label`: learned as if the teacher were certain of the row's own label; or `drop`:
    these rows are not learned from."""
    input_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that the server reads, to show the cost."""
    output_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that it writes."""

    def cost_of(self, usage: Usage) -> float:
        """Returns what tokens cost, in the currency of the prices."""
        return (
            usage.num_read * self.input_price + usage.num_written * self.output_price
        ) / _MILLION


def recognises(name: str) -> bool:
    """Tells whether that is an address."""
    return name.startswith(_SCHEMES)


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
        url = _find_url(name, options)
        key_name = _find_key(url, options)
        route: Route = Predict(reader, batch_size=options.batch_size)
        if url.endswith(_CHAT):
            model = name.removeprefix(_OPENAI) if name.startswith(_OPENAI) else options.model
            if not model:
                raise SettingsError(
                    f"teacher = {name} does not say which model answers; give openai://MODEL, or "
                    "teacher_options.model"
                )
            route = Chat(
                reader,
                model,
                Chat.choose_prompt(options.prompt, data.task, has_pairs=has_pairs),
                options.logprobs,
                options.confidence,
                options.request,
            )
            _require_distinct_starts(options, reader)
        return cls(settings=settings, url=url, route=route, options=options, key_name=key_name)

    @classmethod
    def read_options(cls, settings: FinetuneSettings) -> Settings:
        """Returns its own settings; what is given as a key is not said again."""
        for name in settings.teacher_options.keys() - ServerOptions.model_fields.keys():
            if _SECRET.search(name):
                raise SettingsError(
                    f"teacher_options.{name} is no setting, since a key would stand in records; "
                    f"{_KEY_HELP}"
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
        usage = sum((self.route.estimate(text) for text in new), Usage())
        return {
            "teacher_texts": len(texts),
            "teacher_texts_known": len(texts) - len(new),
            "teacher_texts_to_ask": len(new),
            "teacher_tokens_about": usage.num_read + usage.num_written,
            "teacher_cost_about": round(self.options.cost_of(usage), 4),
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
        return [torch.tensor(logits) for logits in self.answer(rows, progress)]

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
            raise _refuse(list(wrong.values()))
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
            try:
                found.append(self.route.read(kept[names[row.texts]], f"{self.url}, {row.where}"))
            except DataError as error:
                by_label = self.options.missing == "label" and row.label is not None
                found.append(self.route.reader.certain(row.label) if by_label else error)
        return found

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
        usage = Usage()
        client = Client(
            self.url,
            key=os.environ.get(self.key_name) if self.key_name else None,
            key_name=self.key_name,
            timeout_seconds=self.options.timeout_seconds,
            retries=self.options.retries,
            concurrency=self.options.concurrency,
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

        with (
            progress.stage("asking the teacher", total=total, unit="texts") as stage,
            ThreadPoolExecutor(self.options.concurrency) as pool,
        ):
            try:
                for done in as_completed([pool.submit(ask, question) for question in questions]):
                    if isinstance(done.exception(), StoppedError):
                        continue  # since another has failed, which is to be told
                    answers = done.result()
                    usage = sum(map(self.route.usage, answers), usage)
                    stage.advance(len(answers))
                    stage.update(cost=round(self.options.cost_of(usage), 4))
            except BaseException:
                client.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                client.close()
        progress.log(
            f"{self.settings.teacher}: {total:,} texts asked of, {usage.num_read:,} tokens read, "
            f"{usage.num_written:,} written, cost {self.options.cost_of(usage):.4f}"
        )


def _refuse(wrong: Sequence[DataError]) -> DataError:
    """Returns the error that answers can't be read."""
    others = f", and {len(wrong) - 1:,} others can't be read either" * (len(wrong) > 1)
    return DataError(
        f"{wrong[0]}{others}. Leave these rows out with teacher_options.missing=drop, ask another "
        "question (teacher_options.prompt), or learn the labels of those that have one with "
        "missing=label; no answer has to be paid again"
    )


def _find_url(name: str, options: ServerOptions) -> str:
    """Returns the address of the route.

    Raises:
        SettingsError: If it is none, or has a key in it, which then stands in records.
    """
    base = options.base_url if name.startswith(_OPENAI) else name
    given = "teacher_options.base_url" if name.startswith(_OPENAI) else "teacher"
    address = base or _OPENAI_URL
    try:
        parts = urlsplit(address)
        host, has_user = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        host, has_user, parts = None, False, urlsplit("")
    if has_user or _SECRET.search(parts.query):
        raise SettingsError(
            f"{given} has a name, password or key in it, which would stand in records; {_KEY_HELP}"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(
            f"{given} = {shorten(address)} is no address; accepted: http://HOST/..., "
            "https://HOST/..."
        )
    route = parts.path.rstrip("/")
    if name.startswith(_OPENAI):
        route += "" if route.endswith(_CHAT) else _CHAT
    elif route.rpartition("/")[2] in ("embed", "embeddings"):
        raise SettingsError(
            f"teacher = {name} gives vectors of texts, and no loss learns from these alone; "
            "accepted: a route /predict or /chat/completions"
        )
    elif not route.endswith((_CHAT, "/predict")):
        route += "/predict"
    return parts._replace(path=route, fragment="").geturl()


def _find_key(url: str, options: ServerOptions) -> str | None:
    """Returns the variable of the environment that has the key for an address, if one is sent.

    OpenAI's own key goes to OpenAI alone, unless its variable is named.

    Raises:
        SettingsError: If there is none where one is needed, or it would cross a network in clear.
    """
    name = options.key_variable or (_OPENAI_KEY if url.startswith(_OPENAI_URL) else None)
    if name is None:
        return None
    if not _VARIABLE.fullmatch(name):  # may be the key itself, which is not said again
        raise SettingsError(
            "teacher_options.key_variable is not the name of a variable, in capitals; " + _KEY_HELP
        )
    if not os.environ.get(name):
        raise SettingsError(
            f"{url} needs a key, but {name} is not set in the environment; {_KEY_HELP}"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError(
            f"the key in {name} would go to {url} unencrypted; accepted: https, or this machine"
        )
    return name


def _require_distinct_starts(options: ServerOptions, reader: AnswerReader) -> None:
    """Refuses log-probabilities of a first token where labels can't be told apart by it."""
    if not options.logprobs:
        return
    if reader.task.predictions is LabelSets or not reader.task.labels:
        raise SettingsError(
            f"teacher_options.logprobs is for tasks of one label a text, not {reader.task.name}"
        )
    starts = [name.casefold()[:1] for name in reader.task.labels]
    pairs = zip(reader.task.labels, starts, strict=True)
    twice = [name for name, start in pairs if starts.count(start) > 1]
    if twice:
        raise SettingsError(
            f"teacher_options.logprobs tells labels apart by their first token, but "
            f"{' and '.join(twice[:2])} begin alike; leave it out, or give task_options.labels "
            "others with rename_labels"
        )


TeacherType = Server
