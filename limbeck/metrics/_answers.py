"""How well an answer's text matches the gold ones, as SQuAD's official scorers count it."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from limbeck.metrics._metric import Floats, PredictionRecord, Predictions

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_NONE = "no answer"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Answers(Predictions):
    """How well each predicted answer matches the gold ones.

    Attributes:
        exact_match: Whether it is one of them, (examples,).
        f1: Its token F1 with the nearest of them, (examples,).
        gold: The gold ones; none where a question can't be answered.
        texts: The predicted ones, empty for none.
    """

    exact_match: Floats
    f1: Floats
    gold: Sequence[Sequence[str]]
    texts: Sequence[str]

    @classmethod
    def from_records(
        cls,
        records: Sequence[PredictionRecord],
        *,
        classes: Sequence[Any] = (),  # noqa: ARG003 - there are none
    ) -> Self:
        """Reads records that hold what `answer_scores` gave."""
        exact, f1 = (
            np.array([record[name] for record in records], dtype=float)
            for name in ("exact_match", "f1")
        )
        gold, texts = ([record[key] for record in records] for key in ("label", "prediction"))
        return cls(exact, f1, gold, texts)

    @staticmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether a text stands beside a list of gold ones."""
        return isinstance(record["label"], list) and isinstance(record["prediction"], str)

    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the first of each question's gold answers, and the predicted one."""
        first = [gold[0] if gold else "" for gold in self.gold]
        return [text or _NONE for text in first], [text or _NONE for text in self.texts]

    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields no answer, the only one that fits more than one passage."""
        right = np.array([not gold for gold in self.gold], dtype=float)
        yield _NONE, type(self)(right, right, self.gold, [""] * len(right))


def normalise_answer(text: str) -> str:
    """Lowers case, drops ASCII punctuation and English articles, and evens out blanks.

    Source:
        `normalize_answer` of evaluate-v1.1.py and evaluate-v2.0.py (Rajpurkar et al., 2016, 2018).

    Example:
        >>> normalise_answer("The  Eiffel-Tower, a landmark")
        'eiffeltower landmark'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def answer_scores(
    prediction: str, gold: Sequence[str], *, with_unanswerable: bool
) -> tuple[float, float]:
    """Returns exact match and token F1 against the best of the gold answers.

    Args:
        prediction: The predicted text; empty for none.
        gold: The gold answers; none for an unanswerable question.
        with_unanswerable: Count as SQuAD 2.0's scorer, where an empty text is an answer, too;
            otherwise as that of 1.1, where it never gets any F1.
    """
    if with_unanswerable:
        gold = [answer for answer in gold if normalise_answer(answer)] or [""]
    predicted = normalise_answer(prediction)
    normal = [normalise_answer(answer) for answer in gold]
    exact = max(float(predicted == answer) for answer in normal)
    return exact, max(_f1(predicted, answer, with_unanswerable) for answer in normal)


def _f1(prediction: str, gold: str, with_unanswerable: bool) -> float:  # noqa: FBT001
    predicted, expected = prediction.split(), gold.split()
    if with_unanswerable and not (predicted and expected):
        return float(predicted == expected)
    num_same = sum((Counter(predicted) & Counter(expected)).values())
    if num_same == 0:
        return 0.0
    precision, recall = num_same / len(predicted), num_same / len(expected)
    return 2 * precision * recall / (precision + recall)


def best_threshold(
    answers: Sequence[str],
    scores: Sequence[float],
    differences: Sequence[float],
    *,
    has_answer: Sequence[bool],
) -> tuple[float, float]:
    """Returns the highest mean score that any threshold for "no answer" gives, and the threshold.

    Args:
        answers: Each question's best answer.
        scores: Its score.
        differences: How far "no answer" is ahead of that answer; above the threshold there is none.
        has_answer: Whether the question can be answered.

    Source:
        `find_best_thresh` of evaluate-v2.0.py.
    """
    current = best = float(sum(not answerable for answerable in has_answer))
    threshold = 0.0
    for i in sorted(range(len(scores)), key=lambda i: differences[i]):
        current += scores[i] if has_answer[i] else -float(answers[i] != "")
        if current > best:
            best, threshold = current, differences[i]
    return best / len(scores), threshold
