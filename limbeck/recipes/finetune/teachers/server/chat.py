"""OpenAI's route `chat/completions`: how a language model is asked, and what its words mean."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.metrics import LabelSets, Numbers
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._texts import Texts
from limbeck.recipes.finetune.teachers.server.client import AnswerError
from limbeck.recipes.finetune.teachers.server.options import ServerOptions
from limbeck.recipes.finetune.teachers.server.routes import LabelRoute, Usage, count_tokens
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
_AROUND = " \t\r\n\"'`*_.!(){}[]"
"""What may stand around a label: marks of a sentence, of Markdown and of JSON."""
_BEFORE = r"(?:\A|\n|:|\bis(?:\s+(?:an?|the))?\s)"
"""After what a label at the end is the answer. One that is only mentioned is not: `not good`."""
_LEAST_SHARE = 0.5
"""Of the first token's probability that must begin labels. Where less does, the answer begins with
other words, and what is left for the labels says nothing."""
_TOP = 20
"""Log-probabilities asked for: the most that OpenAI's route gives."""


@dataclass(frozen=True)
class Chat(LabelRoute):
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
    def of(
        cls, options: ServerOptions, reader: AnswerReader, *, model: str, has_pairs: bool
    ) -> Self:
        """Returns the route as a server's own settings have it.

        Raises:
            SettingsError: If the question has no place for the text, or log-probabilities can't
                tell the labels apart.
        """
        if options.logprobs:
            _require_distinct_starts(reader.task)
        return cls(
            reader,
            model,
            cls.choose_prompt(options.prompt, reader.task, has_pairs=has_pairs),
            options.logprobs,
            options.confidence,
            options.request,
        )

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
        if not has_pairs and "{text_pair}" in given:
            raise SettingsError(
                f"teacher_options.prompt = {shorten(given)} has a place for a second text, but the "
                "task's rows have one; accepted: {text}, or task_options.text_pair_column"
            )
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
            said["is_cut"] = choice.get("finish_reason") == "length"
            usage = answer.get("usage") or {}
            said["usage"] = [int(usage.get(f"{k}_tokens") or 0) for k in ("prompt", "completion")]
            if self.logprobs and choice.get("logprobs"):
                first = choice["logprobs"]["content"][0]["top_logprobs"]
                said["top"] = [[str(one["token"]), float(one["logprob"])] for one in first]
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            raise AnswerError(f"{shorten(answer)} where a chat completion belongs") from None
        if said["content"] is None:  # it refuses, and would do so again
            said["content"] = ""
        if not isinstance(said["content"], str):
            raise AnswerError(f"a chat completion without words: {shorten(said['content'])}")
        return [said]

    def read(self, kept: Any, place: str) -> Logits:
        """Returns the label in the words, or the labels' share of the first token."""
        words, is_cut = _after_reasoning(kept["content"]), kept["is_cut"]
        if self.reader.task.predictions is Numbers:
            return self.reader.read(Row({"score": words.strip(_AROUND)}, place, 0))
        if self.reader.task.predictions is LabelSets:
            found = None if is_cut else self._find_labels(words)
        else:
            if shares := self._shares(kept.get("top") or []):
                return self.reader.read(Row({"probabilities": shares}, place, 0))
            one = self._find_label(words, is_cut=is_cut)
            found = None if one is None else {one}
        if found is None:
            cut = ", and was cut; a larger teacher_options.request.max_tokens may help" * is_cut
            raise DataError(
                f"{place}: the answer {shorten(kept['content'])} is none of the labels "
                f"({', '.join(map(repr, self.reader.task.labels[:20]))}){cut}"
            )
        return self.reader.confident(found, self.confidence)

    def usage(self, kept: Any) -> Usage:
        """Returns the tokens that the server has counted."""
        return Usage(*kept["usage"])

    def estimate(self, texts: Texts) -> Usage:
        """Returns about what the prompt and an answer of the longest label take."""
        longest = max(map(len, self.reader.task.labels), default=4)
        return Usage(count_tokens(self._fill(texts)), 1 + count_tokens("x" * longest))

    def _fill(self, texts: Texts) -> str:
        names = {"labels": ", ".join(self.reader.task.labels), "text": texts[0]}
        names["text_pair"] = texts[-1]
        return _PLACES.sub(lambda found: names[found[1]], self.prompt)

    def _find_label(self, words: str, *, is_cut: bool) -> int | None:
        """Returns the label that an answer is, or that its first line or its end gives."""
        whole = self._place(words)
        if whole is not None or is_cut:
            return whole
        end = self._ending.search(words)
        first, last = self._place(words.partition("\n")[0]), self._place(end[1] if end else "")
        return last if first is None or first == last else first if last is None else None

    def _find_labels(self, words: str) -> set[int] | None:
        """Returns the labels of a list, or None where one is none of the task's."""
        parts = [part.strip(f"{_AROUND}-•") for part in re.split(r"[,\n]", words.strip(_AROUND))]
        found = [self._place(part) for part in parts if part]
        if not found or (None in found and [part.casefold() for part in parts] != ["none"]):
            return None
        return {place for place in found if place is not None}

    def _place(self, words: str) -> int | None:
        """Returns the label that words are, but for what may stand around it."""
        forms = (words.strip(), words.strip(_AROUND))
        places = (self.reader.labels.place(form) for form in forms)
        return next((place for place in places if place is not None), None)

    @cached_property
    def _ending(self) -> re.Pattern[str]:
        """Finds a label at an answer's end, the longest of those that end alike."""
        names = sorted(self.reader.task.labels, key=len, reverse=True)
        around = f"[{re.escape(_AROUND)}]*"
        label = "|".join(map(re.escape, names))
        return re.compile(rf"{_BEFORE}{around}({label}){around}\Z", re.IGNORECASE)

    def _shares(self, top: Sequence[Sequence[Any]]) -> list[float]:
        """Returns what of the first token's probability begins each label, and no other.

        Empty where the token begins something else: they then say nothing of the labels.
        """
        shares = [0.0] * len(self.reader.task.labels)
        for token, logprob in top:
            start = token.strip().casefold()
            begun = [
                place
                for place, name in enumerate(self.reader.task.labels)
                if start and name.casefold().startswith(start)
            ]
            if len(begun) == 1:
                shares[begun[0]] += math.exp(min(logprob, 0.0))
        total = sum(shares)
        return [share / total for share in shares] if total >= _LEAST_SHARE else []


def _after_reasoning(content: str) -> str:
    """Returns an answer without the reasoning that some servers leave in it; empty if all is.

    Example:
        >>> _after_reasoning("<think>Good? Or dull?</think> good"), _after_reasoning("<think>Good")
        ('good', '')
    """
    answer = content.rpartition("</think>")[2].strip()
    return "" if answer.startswith("<think>") else answer


def _require_distinct_starts(task: Task) -> None:
    """Refuses log-probabilities of a first token where labels can't be told apart by it."""
    if task.predictions is LabelSets or not task.labels:
        raise SettingsError(
            f"teacher_options.logprobs is for tasks of one label a text, not {task.name}"
        )
    starts = [name.casefold()[:1] for name in task.labels]
    pairs = zip(task.labels, starts, strict=True)
    twice = [name for name, start in pairs if starts.count(start) > 1]
    if twice:
        raise SettingsError(
            f"teacher_options.logprobs tells labels apart by their first token, but "
            f"{' and '.join(twice[:2])} begin alike; leave it out, or give task_options.labels "
            "others with rename_labels"
        )
