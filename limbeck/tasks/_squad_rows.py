"""Questions of SQuAD's files and of flat rows, with every answer checked at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.errors import DataError
from limbeck.tasks._sources import Row, Rows


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a text.

    Attributes:
        id: Of the data set.
        question: The question.
        context: The text that it is about.
        label: The gold answers, each with its first character in the context; none for a question
            that the text does not answer; None where they are not public.
    """

    id: str
    question: str
    context: str
    label: tuple[tuple[str, int], ...] | None


def read_questions(
    rows: Rows, *, with_unanswerable: bool, with_answers: bool = True
) -> list[Question]:
    """Reads SQuAD's articles (`paragraphs`, `qas`) or flat rows (`context`, `question`, `answers`).

    Args:
        rows: The rows of one split.
        with_unanswerable: Whether a question may have no answer.
        with_answers: Whether answers are looked at; else no question has a label.

    Raises:
        DataError: If a field is missing, an answer does not stand at its place, an id stands twice,
            or a question without an answer is in a data set that must not have any.
    """
    found: dict[str, Question] = {}
    for row in rows.rows:
        for place, values in _flatten(row):
            _require_fields(values, place)
            label = _answers(values, place) if with_answers else None
            if label == () and not with_unanswerable:
                raise DataError(
                    f"{place}: it has no answer, and task 'squad' is for questions that have one; "
                    "use task=squad_v2"
                )
            question = Question(
                str(values["id"]), str(values["question"]), str(values["context"]), label
            )
            if question.id in found:
                raise DataError(f"{place}: the id stands twice; give each question its own")
            found[question.id] = question
    if not found:
        raise DataError(f"{rows.where} has no questions; give a file with at least one")
    return list(found.values())


def _flatten(row: Row) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "paragraphs" not in row.values:
        yield f"{row.place}, question {row.values.get('id', '?')}", row.values
        return
    for number, paragraph in enumerate(row.values["paragraphs"]):
        context, questions = paragraph.get("context"), paragraph.get("qas", [])
        for values in questions:
            where = f"{row.place}, paragraph {number}, question {values.get('id', '?')}"
            yield where, {**values, "context": context}


def _require_fields(values: Mapping[str, Any], place: str) -> None:
    for name in ("id", "question", "context"):
        if not isinstance(values.get(name), str | int) or values[name] == "":
            raise DataError(
                f"{place}: '{name}' is missing or empty; it has: {', '.join(values)}. A question "
                "needs id, question, context and answers"
            )


def _answers(values: Mapping[str, Any], place: str) -> tuple[tuple[str, int], ...] | None:
    given = values.get("answers")
    if given is None:
        return None
    if isinstance(given, Mapping):  # as the Hub has them: lists by field
        given = [
            {"text": text, "answer_start": start}
            for text, start in zip(given["text"], given["answer_start"], strict=True)
        ]
    if values.get("is_impossible"):
        return ()
    answers = []
    for answer in given:
        text, start = answer["text"], answer["answer_start"]
        there = values["context"][start : start + len(text)]
        if there != text:
            raise DataError(
                f"{place}: the answer '{text}' is said to stand at character {start}, but there "
                f"stands '{there}'; correct answer_start, or remove the question"
            )
        answers.append((text, start))
    return tuple(answers)
