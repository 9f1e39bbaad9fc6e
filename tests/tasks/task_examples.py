"""Small data for every task of the room, for the contract tests; a task without an entry fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEXTS = ["a good film", "a bad story", "the men and the rain", "great great great", "dull"]


@dataclass(frozen=True)
class Data:
    """Rows of training, validation and test; those of test have labels too.

    `unlabel` makes a row of a test set whose labels are not public.
    """

    rows: list[dict[str, Any]]
    unlabelled: dict[str, Any]
    """What replaces a row's fields where the label is not public."""
    options: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What stands beside the splits, such as a corpus."""


def _singles(column: str, labels: list[Any]) -> list[dict[str, Any]]:
    return [{column: text, "label": label} for text, label in zip(TEXTS, labels, strict=True)]


def _pairs(first: str, second: str, labels: list[Any]) -> list[dict[str, Any]]:
    return [
        {first: text, second: TEXTS[i - 1], "label": label}
        for i, (text, label) in enumerate(zip(TEXTS, labels, strict=True))
    ]


_TWO = [0, 1, 1, 0, 1]
_HIDDEN = {"label": -1}

_UNANSWERED = {"answers": None}
_SHORT_WINDOWS = {"stride": 4, "max_question_tokens": 6}


def _endings(count: int) -> dict[str, str]:
    return {f"ending{i}": TEXTS[i] for i in range(count)}


def _questions() -> list[dict[str, Any]]:
    return [
        {
            "id": str(number),
            "question": "what is great",
            "context": context,
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
        for number, (context, answer) in enumerate(
            [("the men and the rain", "rain"), ("a bad story " * 9 + "a good film", "good film")]
        )
    ]


EXAMPLES: dict[str, Data] = {
    "cola": Data(_singles("sentence", _TWO), _HIDDEN),
    "sst2": Data(_singles("sentence", _TWO), _HIDDEN),
    "imdb": Data(_singles("text", _TWO), _HIDDEN),
    "text_classification": Data(_singles("text", ["x", "y", "x", "z", "y"]), {"label": ""}),
    "mrpc": Data(_pairs("sentence1", "sentence2", _TWO), _HIDDEN),
    "qqp": Data(_pairs("question1", "question2", _TWO), _HIDDEN),
    "rte": Data(_pairs("sentence1", "sentence2", _TWO), _HIDDEN),
    "wnli": Data(_pairs("sentence1", "sentence2", _TWO), _HIDDEN),
    "qnli": Data(_pairs("question", "sentence", _TWO), _HIDDEN),
    "mnli": Data(_pairs("premise", "hypothesis", [0, 1, 2, 1, 0]), _HIDDEN),
    "mnli_mismatched": Data(_pairs("premise", "hypothesis", [0, 1, 2, 1, 0]), _HIDDEN),
    "snli": Data(_pairs("premise", "hypothesis", [0, 1, 2, 1, 0]), _HIDDEN),
    "stsb": Data(_pairs("sentence1", "sentence2", [0.0, 2.5, 5.0, 3.8, 1.0]), _HIDDEN),
    "text_regression": Data(_singles("text", [-3.5, 0, 1e3, 2, "7.25"]), {"label": None}),
    "multi_label_classification": Data(
        [
            {"text": text, "labels": labels}
            for text, labels in zip(TEXTS, [["x", "y"], "x", [], "y,z", ["z"]], strict=True)
        ],
        {"labels": None},
    ),
    "ner": Data(
        [
            {"tokens": ["Anna", "saw", "Rome"], "ner_tags": ["B-PER", "O", "B-LOC"]},
            {"tokens": ["the", "rain"] * 20, "ner_tags": ["O", "O"] * 20},
            {"tokens": ["Anna", "Rome", "men"], "ner_tags": ["B-PER", "I-PER", "O"]},
        ],
        {"ner_tags": None},
    ),
    "swag": Data(
        [
            {"sent1": text, "sent2": "the", "label": i % 2, **_endings(2 + i % 3)}
            for i, text in enumerate(TEXTS)
        ],
        _HIDDEN,
    ),
    "sts": Data(_pairs("sentence1", "sentence2", [0.0, 2.5, 5.0, 3.8, 1.0]), _HIDDEN),
    "retrieval": Data(
        [
            {"query-id": f"q{i % 3}", "corpus-id": f"d{(2 * i) % 5}", "score": (i + 1) % 3}
            for i in range(5)
        ],
        {"corpus-id": None, "score": None},
        beside={
            "corpus": [{"_id": f"d{i}", "text": text} for i, text in enumerate(TEXTS)],
            "queries": [{"_id": f"q{i}", "text": text} for i, text in enumerate(TEXTS[1:])],
        },
    ),
    "reranking": Data(
        [
            {"query": TEXTS[i // 3], "document": text, "label": float(i % 3 > 0)}
            for i, text in enumerate([*TEXTS, "rain"])
        ],
        {"label": None},
    ),
    "squad": Data(_questions(), _UNANSWERED, _SHORT_WINDOWS),
    "squad_v2": Data(
        [*_questions(), {"id": "n", "question": "who", "context": "a good story", "answers": []}],
        _UNANSWERED,
        _SHORT_WINDOWS,
    ),
}
