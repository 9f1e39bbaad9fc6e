"""The ways of giving questions and contexts, brought into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from limbeck.errors import SettingsError, shorten

_FORMS = 'accepted: {"question": "...", "context": "..."}, or a list of these'


class Question(NamedTuple):
    """A question and the text that has its answer."""

    question: str
    context: str


def as_questions(
    inputs: object, *, question: object, context: object
) -> tuple[list[Question], bool]:
    """Returns questions with their contexts, and whether it is a single one, not in a list.

    Args:
        inputs: A mapping with `question` and `context`, or a list of them.
        question: In the place of `inputs` a question, or a list.
        context: With `question` a text, or a list.

    Raises:
        SettingsError: If something is missing, empty, too much, or no text.

    Example:
        >>> as_questions({"question": "Who?", "context": "Ada."}, question=None, context=None)
        ([Question(question='Who?', context='Ada.')], True)
    """
    if inputs is None:
        return _from_columns(question, context)
    if question is not None or context is not None:
        raise SettingsError(
            "question= and context= are given besides the inputs; accepted: either these, or "
            "inputs that hold a question and a context each"
        )
    if isinstance(inputs, Mapping):
        return [_from_mapping(inputs, 0)], True
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise SettingsError(f"the input is {shorten(inputs)}; {_FORMS}, or question= and context=")
    return [_from_mapping(given, index) for index, given in enumerate(inputs)], False


def _from_columns(question: object, context: object) -> tuple[list[Question], bool]:
    for name, value in (("question", question), ("context", context)):
        if value is None:
            raise SettingsError(f"{name}= is missing; {_FORMS}, or both question= and context=")
    questions, one_question = _as_list("question", question)
    contexts, one_context = _as_list("context", context)
    if one_question and one_context:
        return [_checked(questions[0], contexts[0], 0)], True
    questions = questions * len(contexts) if one_question else questions
    contexts = contexts * len(questions) if one_context else contexts
    if len(questions) != len(contexts):
        raise SettingsError(
            f"there are {len(questions)} questions and {len(contexts)} contexts; accepted: as many "
            "of each, or one of either"
        )
    pairs = zip(questions, contexts, strict=True)
    return [_checked(first, second, index) for index, (first, second) in enumerate(pairs)], False


def _as_list(name: str, value: object) -> tuple[list[object], bool]:
    if isinstance(value, str):
        return [value], True
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise SettingsError(f"{name} = {shorten(value)}; accepted: a text, or a list of texts")
    return list(value), False


def _from_mapping(given: object, index: int) -> Question:
    if not isinstance(given, Mapping) or set(given) != {"question", "context"}:
        raise SettingsError(f"input {index} is {shorten(given)}; {_FORMS}")
    return _checked(given["question"], given["context"], index)


def _checked(question: object, context: object, index: int) -> Question:
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(
                f"input {index}: the {name} is {shorten(value)}; accepted: a text that is not empty"
            )
    assert isinstance(question, str)
    assert isinstance(context, str)
    return Question(question, context)
