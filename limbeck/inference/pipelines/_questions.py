"""The ways of giving questions and contexts, brought into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.inference._stream import is_many, is_stream, read_each
from limbeck.sources import require_whole_characters

_FORMS = 'accepted: {"question": "...", "context": "..."}, or a list of these'


class Question(NamedTuple):
    """A question and the text that has its answer."""

    question: str
    context: str


def gather_questions(inputs: object, *, question: object, context: object) -> tuple[Any, bool]:
    """Returns what is to be answered, unchecked, and whether it is a single question.

    Args:
        inputs: A mapping with `question` and `context`, or many of them.
        question: In the place of `inputs` a question, or a list.
        context: With `question` a text, or a list.

    Raises:
        SettingsError: If something is missing or too much.

    Example:
        >>> gather_questions({"question": "Who?", "context": "Ada."}, question=None, context=None)
        ([{'question': 'Who?', 'context': 'Ada.'}], True)
    """
    if inputs is None:
        return _from_columns(question, context)
    if question is not None or context is not None:
        raise SettingsError(
            "question= and context= are given besides the inputs; accepted: either these, or "
            "inputs that hold a question and a context each"
        )
    if isinstance(inputs, Mapping):
        return [inputs], True
    if not is_many(inputs):
        raise SettingsError(f"the input is {shorten(inputs)}; {_FORMS}, or question= and context=")
    return inputs, False


def check_question(index: int, given: object) -> Question:
    """Returns an input's question and context.

    Raises:
        DataError: If either is missing, empty or no text, or there is more.

    Example:
        >>> check_question(0, {"question": "Who?", "context": "Ada."})
        Question(question='Who?', context='Ada.')
    """
    if not isinstance(given, Mapping) or set(given) != {"question", "context"}:
        raise DataError(f"input {index} is {shorten(given)}; {_FORMS}")
    for name in ("question", "context"):
        value = given[name]
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"input {index}: the {name} is {shorten(value)}; accepted: a text that is not empty"
            )
        require_whole_characters(value, f"input {index}: the {name}")
    return Question(given["question"], given["context"])


def _from_columns(question: object, context: object) -> tuple[Any, bool]:
    for name, value in (("question", question), ("context", context)):
        if value is None:
            raise SettingsError(f"{name}= is missing; {_FORMS}, or both question= and context=")
    if isinstance(question, str) and is_stream(context):
        return (_as_input(question, text) for text in read_each(context)), False
    questions, one_question = _as_list("question", question)
    contexts, one_context = _as_list("context", context)
    questions = questions * len(contexts) if one_question else questions
    contexts = contexts * len(questions) if one_context else contexts
    if len(questions) != len(contexts):
        raise SettingsError(
            f"there are {len(questions)} questions and {len(contexts)} contexts; accepted: as many "
            "of each, or one of either"
        )
    return list(map(_as_input, questions, contexts)), one_question and one_context


def _as_input(question: object, context: object) -> dict[str, object]:
    return {"question": question, "context": context}


def _as_list(name: str, value: object) -> tuple[list[object], bool]:
    if isinstance(value, str):
        return [value], True
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise SettingsError(f"{name} = {shorten(value)}; accepted: a text, or a list of texts")
    return list(value), False
