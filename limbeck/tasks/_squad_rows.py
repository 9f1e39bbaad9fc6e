"""Questions of SQuAD's files and of flat rows, with every answer checked at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.errors import DataError, shorten, shorten_names
from limbeck.sources import Row, SplitRows, require_whole_characters
from limbeck.tasks._texts import UNLABELLED_SPLITS


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

    def shown(self) -> dict[str, Any]:
        """Returns the question; the text may be long, and stands under the id."""
        return {"question": self.question}


def read_questions(rows: SplitRows, *, split: str, with_unanswerable: bool) -> list[Question]:
    """Reads SQuAD's articles (`paragraphs`, `qas`) or flat rows (`context`, `question`, `answers`).

    Args:
        rows: The rows of one split.
        split: Its name; answers of `transfer` are not looked at.
        with_unanswerable: Whether a question may have no answer.

    Raises:
        DataError: If a field is missing, an answer does not stand at its place, an id stands twice,
            a question without an answer is in a data set that must not have any, or answers are
            not public where they must be.
    """
    found: dict[str, Question] = {}
    hidden: list[str] = []
    for row in rows.rows:
        for place, values in _flatten(row):
            _require_fields(values, place)
            label = None if split == "transfer" else _answers(values, place)
            if label == () and not with_unanswerable:
                raise DataError(
                    f"{place}: it has no answer, and task 'squad' is for questions that have one; "
                    "use task=squad_v2"
                )
            question = Question(
                str(values["id"]), str(values["question"]), values["context"], label
            )
            if question.id in found:
                raise DataError(f"{place}: the id stands twice; give each question its own")
            found[question.id] = question
            hidden += [place] if label is None else []
    if not found:
        raise DataError(f"{rows.where} has no questions; give a file with at least one")
    if hidden and (split not in UNLABELLED_SPLITS or len(hidden) < len(found)):
        raise DataError(
            f"{hidden[0]}: 'answers' is missing, and so in {len(hidden):,} of the {len(found):,} "
            f"questions of {split}; give all of them. Only a test split may lack answers, and then "
            "every one"
        )
    return list(found.values())


def _flatten(row: Row) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "paragraphs" not in row.values:
        yield f"{row.place}, question {_shown_id(row.values)}", row.values
        return
    for number, paragraph in enumerate(_objects(row.values, "paragraphs", row.place)):
        where = f"{row.place}, paragraph {number}"
        for values in _objects(paragraph, "qas", where):
            place = f"{where}, question {_shown_id(values)}"
            yield place, {**values, "context": paragraph.get("context")}


def _shown_id(values: Mapping[str, Any]) -> str:
    return shorten(str(values.get("id", "?")), quoted=False)


def _objects(values: Mapping[str, Any], name: str, place: str) -> list[dict[str, Any]]:
    """Returns a list of JSON objects, or refuses what is no such list."""
    given = values.get(name)
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        return given
    raise DataError(f"{place}: '{name}' must be a list of JSON objects, got {shorten(given)}")


def _require_fields(values: Mapping[str, Any], place: str) -> None:
    for name, accepted in (("id", str | int), ("question", str), ("context", str)):
        if not isinstance(values.get(name), accepted) or values[name] == "":
            raise DataError(
                f"{place}: '{name}' is missing, empty or no text; it has: {shorten_names(values)}. "
                "A question needs id, question, context and answers"
            )
        require_whole_characters(str(values[name]), f"{place}: '{name}'")


def _answers(values: Mapping[str, Any], place: str) -> tuple[tuple[str, int], ...] | None:
    given = values.get("answers")
    if given is None:
        return None
    if values.get("is_impossible"):
        return ()
    answers = []
    for text, start in _texts_and_starts(given, place):
        there = values["context"][start : start + len(text)] if start >= 0 else ""
        if there != text:
            raise DataError(
                f"{place}: the answer {shorten(text)} is said to stand at character {start}, but "
                f"there stands {shorten(there)}; correct answer_start, or remove the question"
            )
        # Blanks at an answer's ends belong to no token, and so can't be predicted.
        answers.append((text.strip(), start + len(text) - len(text.lstrip())))
    return tuple(answers)


def _texts_and_starts(given: Any, place: str) -> list[tuple[str, int]]:
    """Returns answers from a list of them, or from the lists by field that the Hub has."""
    match given:
        case {"text": list(texts), "answer_start": list(starts)} if len(texts) == len(starts):
            pairs = list(zip(texts, starts, strict=True))
        case list() if all(isinstance(answer, dict) for answer in given):
            pairs = [(answer.get("text"), answer.get("answer_start")) for answer in given]
        case _:
            pairs = [(None, None)]
    if all(isinstance(text, str) and text.strip() and type(start) is int for text, start in pairs):
        return pairs
    raise DataError(
        f"{place}: 'answers' is {shorten(given)}; accepted: a list such as "
        '[{"text": "Rome", "answer_start": 21}], answer_start counted in characters from 0'
    )
