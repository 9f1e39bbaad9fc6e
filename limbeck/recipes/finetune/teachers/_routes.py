"""What servers are asked and how their answers are read: a class a route."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.metrics import LabelSets, Numbers
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._client import AnswerError
from limbeck.recipes.finetune.teachers._texts import Texts
from limbeck.sources import Row
from limbeck.tasks import Task

_PROMPT_OF_ONE = (
    "Which of these labels fits the text best: {labels}? Answer with the label alone, as it is "
    "written here.\n\nText: {text}"
)
_PROMPT_OF_SEVERAL = (
    "Which of these labels fit the text: {labels}? Answer with all that fit, commas between them, "
    "as they are written here, or with: none.\n\nText: {text}"
)
_SECOND = "\n\nSecond text: {text_pair}"
_PLACES = re.compile(r"\{(labels|text|text_pair)\}")
_CHARACTERS_A_TOKEN = 4
"""About as many as English has in the vocabularies in use."""
_TOP = 20
"""Log-probabilities asked for: the most that OpenAI's route gives."""


@dataclass(frozen=True)
class Usage:
    """Tokens that a server has read and written."""

    num_read: int = 0
    num_written: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.num_read + other.num_read, self.num_written + other.num_written)


class Route(ABC):
    """A way to ask; answers are plain JSON, one a text, as they are kept on disk.

    Attributes:
        reader: Matches labels by name.
        batch_size: Texts in one question.
    """

    reader: AnswerReader
    batch_size: int = 1

    @abstractmethod
    def body(self, texts: Sequence[Texts]) -> dict[str, Any]:
        """Returns the question about some texts."""

    @abstractmethod
    def split(self, answer: Any, count: int) -> list[Any]:
        """Returns what an answer says of each of the texts that were asked of.

        Raises:
            AnswerError: If it is not what such a server answers.
        """

    @abstractmethod
    def read(self, kept: Any, place: str) -> Logits:
        """Returns what is said of a text as logits.

        Raises:
            DataError: If that can't be meant.
        """

    def usage(self, kept: Any) -> Usage:  # noqa: ARG002 - most say nothing of it
        """Returns the tokens that an answer took."""
        return Usage()

    def estimate(self, texts: Texts) -> Usage:
        """Returns about how many tokens a question takes."""
        return Usage(_count_tokens("".join(texts)))


@dataclass(frozen=True)
class Predict(Route):
    """The route `/predict` of text-embeddings-inference: a score for each label by name."""

    reader: AnswerReader
    batch_size: int = 32

    def body(self, texts: Sequence[Texts]) -> dict[str, Any]:
        """Returns a batch, each a list of one text or two."""
        return {"inputs": [list(text) for text in texts], "truncate": True}

    def split(self, answer: Any, count: int) -> list[Any]:
        """Returns the list of labels and scores of each text."""
        if not isinstance(answer, list) or len(answer) != count:
            size = f"{len(answer)} rows" if isinstance(answer, list) else shorten(answer)
            raise AnswerError(f"an answer of {size} for {count} texts")
        for row in answer:
            if not isinstance(row, list) or not row or not all(map(_is_scored, row)):
                raise AnswerError(f'{shorten(row)} where [{{"label": ..., "score": ...}}] belongs')
        return answer

    def read(self, kept: Any, place: str) -> Logits:
        """Returns the scores, matched by name."""
        if self.reader.task.predictions is Numbers:
            return self.reader.read(Row({"score": kept[0]["score"]}, place, 0))
        scores = {one["label"]: one["score"] for one in kept}
        return self.reader.read(Row({"probabilities": scores}, place, 0))


@dataclass(frozen=True)
class Chat(Route):
    """OpenAI's route `chat/completions`: a label in words, with log-probabilities if asked for.

    Attributes:
        reader: Matches labels by name.
        model: The model's name there.
        prompt: The question, with `{text}`, `{labels}` and `{text_pair}`.
        logprobs: Whether the first token's log-probabilities become the distribution.
        confidence: Of a label without them.
        request: Further fields of the question.
    """

    reader: AnswerReader
    model: str
    prompt: str
    logprobs: bool
    confidence: float
    request: Mapping[str, Any]

    @classmethod
    def choose_prompt(cls, given: str | None, task: Task, *, has_pairs: bool) -> str:
        """Returns the question, by default one for the kind of task.

        Raises:
            SettingsError: If it has no place for the text, or a task of numbers has none.
        """
        if given is None:
            if task.predictions is Numbers:
                raise SettingsError(
                    f"{task.name} asks for a number, and nobody but you can say which: give "
                    "teacher_options.prompt with {text} in it, such as 'How good is this, from 0 "
                    "to 5? Answer with the number alone. {text}'"
                )
            given = _PROMPT_OF_SEVERAL if task.predictions is LabelSets else _PROMPT_OF_ONE
            return given + (_SECOND if has_pairs else "")
        needed = ["text", *(["text_pair"] if has_pairs else [])]
        missing = [name for name in needed if f"{{{name}}}" not in given]
        if missing:
            raise SettingsError(
                f"teacher_options.prompt = {shorten(given)} has no place for the text; accepted: a "
                f"prompt with {{{missing[0]}}} in it, and {{labels}} for the labels"
            )
        return given

    def body(self, texts: Sequence[Texts]) -> dict[str, Any]:
        """Returns the prompt with the text."""
        message = {"role": "user", "content": self._fill(texts[0])}
        asked = {"model": self.model, "messages": [message], **self.request}
        return asked | ({"logprobs": True, "top_logprobs": _TOP} if self.logprobs else {})

    def split(self, answer: Any, count: int) -> list[Any]:
        """Returns the words, the first token's log-probabilities, and the tokens it took."""
        assert count == 1
        try:
            choice = answer["choices"][0]
            said: Any = {"content": choice["message"]["content"]}
            usage = answer.get("usage") or {}
            said["usage"] = [int(usage.get(f"{k}_tokens") or 0) for k in ("prompt", "completion")]
            if self.logprobs and choice.get("logprobs"):
                first = choice["logprobs"]["content"][0]["top_logprobs"]
                said["top"] = [[str(one["token"]), float(one["logprob"])] for one in first]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise AnswerError(f"{shorten(answer)} where a chat completion belongs") from None
        if said["content"] is None:  # it refuses, and would do so again
            said["content"] = ""
        if not isinstance(said["content"], str):
            raise AnswerError(f"a chat completion without words: {shorten(said['content'])}")
        return [said]

    def read(self, kept: Any, place: str) -> Logits:
        """Returns the label in the words, or the labels' share of the first token."""
        words = kept["content"].strip().strip("\"'`*.").strip()
        if self.reader.task.predictions is Numbers:
            return self.reader.read(Row({"score": words}, place, 0))
        several = self.reader.task.predictions is LabelSets
        if several:
            parts = [] if words.casefold() == "none" else re.split(r"\s*[,\n]\s*", words)
            found = [self.reader.labels.place(part) for part in parts]
        else:
            found = [self._place(words)]
        if None in found:
            raise DataError(
                f"{place}: the answer {shorten(kept['content'])} is none of the labels "
                f"({', '.join(map(repr, self.reader.task.labels[:20]))})"
            )
        shares = {} if several else self._shares(kept.get("top") or [])
        if shares:
            total = sum(shares.values())
            by_place = [shares.get(i, 0.0) / total for i in range(len(self.reader.task.labels))]
            return self.reader.read(Row({"probabilities": by_place}, place, 0))
        return self.reader.confident({i for i in found if i is not None}, self.confidence)

    def usage(self, kept: Any) -> Usage:
        """Returns the tokens that the server has counted."""
        return Usage(*kept["usage"])

    def estimate(self, texts: Texts) -> Usage:
        """Returns about what the prompt and an answer of the longest label take."""
        longest = max(map(len, self.reader.task.labels), default=4)
        return Usage(_count_tokens(self._fill(texts)), 1 + longest // _CHARACTERS_A_TOKEN)

    def _fill(self, texts: Texts) -> str:
        names = {"labels": ", ".join(self.reader.task.labels), "text": texts[0]}
        names["text_pair"] = texts[-1]
        return _PLACES.sub(lambda found: names[found[1]], self.prompt)

    def _place(self, words: str) -> int | None:
        """Returns the label that the words are, or the only one that they mention."""
        found = self.reader.labels.place(words)
        if found is not None:
            return found
        mentioned = [
            place
            for place, name in enumerate(self.reader.task.labels)
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words, re.IGNORECASE)
        ]
        return mentioned[0] if len(mentioned) == 1 else None

    def _shares(self, top: Sequence[Sequence[Any]]) -> dict[int, float]:
        """Returns what of the first token's probability begins each label, and no other."""
        shares: dict[int, float] = {}
        for token, logprob in top:
            start = token.strip().casefold()
            begun = [
                place
                for place, name in enumerate(self.reader.task.labels)
                if start and name.casefold().startswith(start)
            ]
            if len(begun) == 1:
                shares[begun[0]] = shares.get(begun[0], 0.0) + math.exp(min(logprob, 0.0))
        return shares


def _is_scored(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("label"), str)
        and isinstance(one.get("score"), int | float)
        and math.isfinite(one["score"])
    )


def _count_tokens(text: str) -> int:
    return math.ceil(len(text) / _CHARACTERS_A_TOKEN)
