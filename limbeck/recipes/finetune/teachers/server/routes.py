"""What servers are asked and how their answers are read: any route, and that of classifiers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.errors import shorten
from limbeck.metrics import Numbers
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._texts import Texts
from limbeck.recipes.finetune.teachers.server.client import AnswerError
from limbeck.sources import Row

_CHARACTERS_A_TOKEN = 4
"""About as many as English has in the vocabularies in use."""
_LARGEST = 1e30
"""A score beyond that is none; this is also false of NaN and of what is no float at all."""


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
        batch_size: Texts in one question.
    """

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

    def usage(self, kept: Any) -> Usage:  # noqa: ARG002 - most say nothing of it
        """Returns the tokens that an answer took."""
        return Usage()

    def estimate(self, texts: Texts) -> Usage:
        """Returns about how many tokens a question takes."""
        return Usage(count_tokens("".join(texts)))


class LabelRoute(Route):
    """A way to ask what a text is.

    Attributes:
        reader: Matches labels by name.
    """

    reader: AnswerReader

    @abstractmethod
    def read(self, kept: Any, place: str) -> Logits:
        """Returns what is said of a text as logits.

        Raises:
            DataError: If that can't be meant.
        """


@dataclass(frozen=True)
class Predict(LabelRoute):
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


def _is_scored(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("label"), str)
        and isinstance(one.get("score"), int | float)
        and is_finite(one["score"])
    )


def is_finite(number: float) -> bool:
    """Tells whether a number is one that a model may give; a whole one can be of any size."""
    return -_LARGEST < number < _LARGEST


def count_tokens(text: str) -> int:
    """Returns about how many tokens a text is."""
    return math.ceil(len(text) / _CHARACTERS_A_TOKEN)
