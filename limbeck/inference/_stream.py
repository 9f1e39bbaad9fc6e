"""Inputs of any number: read as they are needed, encoded beside the model, answered in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from limbeck.errors import LimbeckError, SettingsError, did_you_mean, shorten

logger = logging.getLogger(__name__)

_Known = Literal["raise", "skip"]
_KNOWN = get_args(_Known)
OnError = _Known | Callable[[int, LimbeckError], None]
"""What becomes of a bad input: it ends the call (`raise`), or None stands in the place of its
result (`skip`), unless a function that is told its number and its error raises one."""

InputT = TypeVar("InputT")
EncodedT = TypeVar("EncodedT")
ResultT = TypeVar("ResultT")

# Inputs that are read together, to be sorted by length: few at first, so that the first answers of
# a stream come soon and the model need not wait for all tokens of a list; then twice as many each
# time. 1,024 leave 0.5 % of padding in mixed text, 256 leave 1 %, 64 leave 1.5 %.
_FIRST_OF_STREAM, _FIRST_OF_LIST, _WINDOW = 16, 256, 1024
# Their tokens, and a model's outputs for them, are kept meanwhile: some 65,000 of English text.
_WINDOW_CHARACTERS = 2**18
_REPORTED = 5  # of skipped inputs, each with its reason


@dataclass(frozen=True)
class Steps(Generic[InputT, EncodedT, ResultT]):
    """What is done with inputs, in three steps.

    Attributes:
        check: Takes an input's number and an input; returns it in the form that the others take.
        encode: Makes tokens of some inputs. It runs in a thread, beside the model.
        answer: Runs the model on what `encode` returned; gives a result for each input, in order.
    """

    check: Callable[[int, Any], InputT]
    encode: Callable[[Sequence[InputT]], EncodedT]
    answer: Callable[[Sequence[InputT], EncodedT], Iterable[ResultT]]


@dataclass(frozen=True)
class _Window(Generic[InputT]):
    """Inputs that are worked on together.

    Attributes:
        numbers: Each input's number in the stream.
        inputs: The inputs that passed their check.
        end: Number of inputs read so far, the skipped ones included.
    """

    numbers: list[int]
    inputs: list[InputT]
    end: int


def is_stream(inputs: object) -> bool:
    """Tells whether a generator is to be given for inputs: for an iterator or a data set."""
    return isinstance(inputs, Iterator) or any(
        cls.__module__.startswith(("datasets.", "torch.utils.data."))
        for cls in type(inputs).__mro__
    )


def is_many(inputs: object) -> bool:
    """Tells whether inputs are many, and not one: a text and a mapping are one."""
    return not isinstance(inputs, str | bytes | Mapping) and (
        isinstance(inputs, Iterable) or is_stream(inputs)
    )


def read_each(inputs: Any) -> Iterator[Any]:
    """Yields inputs; those of a data set without an iterator of its own by their number."""
    return iter(inputs) if isinstance(inputs, Iterable) else (inputs[i] for i in range(len(inputs)))


def check_on_error(on_error: object) -> OnError:
    """Returns what is to become of a bad input.

    Raises:
        SettingsError: If it is neither `raise` nor `skip` nor a function.
    """
    if on_error not in _KNOWN and not callable(on_error):
        raise SettingsError(
            f"on_error = {shorten(on_error)}; accepted: {', '.join(_KNOWN)}, or a function of an "
            f"input's number and its error.{did_you_mean(str(on_error), _KNOWN)}"
        )
    return cast(OnError, on_error)


def run_stream(
    inputs: Iterable[Any],
    steps: Steps[InputT, EncodedT, ResultT],
    *,
    batch_size: int | None,
    gathers: bool = False,
    on_error: OnError = "raise",
    advance: Callable[[float], None] = lambda _: None,
) -> Iterator[ResultT | None]:
    """Yields each input's result, in order; memory does not grow with the number of inputs.

    Inputs are read in the caller's thread, a window ahead of what the model works on. With a
    `batch_size` of 1 nothing is gained by reading ahead, and each is answered before the next is
    read.

    Args:
        inputs: What is read.
        steps: What is done with it.
        batch_size: Most rows that go through the model at a time, if that was chosen.
        gathers: Whether nobody looks at a result before there are all.
        on_error: What becomes of a bad input.
        advance: Is told of inputs that are done.

    Raises:
        LimbeckError: For a bad input; its `input_number` is the input's.
    """
    problems = _Problems(on_error)
    most = 1 if batch_size == 1 else _WINDOW
    first = _FIRST_OF_LIST if gathers else _FIRST_OF_STREAM
    windows = _read_windows(enumerate(inputs), steps.check, problems, first=first, most=most)

    def encode(window: _Window[InputT]) -> tuple[_Window[InputT], EncodedT | None]:
        return _encode(window, steps.encode, problems)

    done = 0
    for window, encoded in map(encode, windows) if most == 1 else _one_ahead(encode, windows):
        results = () if encoded is None else steps.answer(window.inputs, encoded)
        for number, result in zip(window.numbers, results, strict=True):
            yield from [None] * (number - done)
            yield result
            advance(number + 1 - done)
            done = number + 1
        yield from [None] * (window.end - done)
        advance(window.end - done)
        done = window.end
    problems.report(total=done)


class _Problems:
    """What was wrong with inputs: raised, told, or counted where they are to be skipped."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._count = 0
        self._first: list[tuple[int, LimbeckError]] = []

    def take(self, number: int, error: LimbeckError) -> None:
        """Does with an input's error what is to become of it."""
        error.input_number = number
        if self._on_error == "raise":
            raise error
        if callable(self._on_error):
            self._on_error(number, error)
            return
        self._count += 1
        if len(self._first) < _REPORTED:
            self._first.append((number, error))

    def report(self, *, total: int) -> None:
        """Tells what was skipped."""
        for _, error in sorted(self._first, key=lambda known: known[0]):
            logger.warning("skipped: %s", error)
        if self._count:
            logger.warning("%s of %s inputs were skipped", f"{self._count:,}", f"{total:,}")


def _read_windows(
    inputs: Iterator[tuple[int, Any]],
    check: Callable[[int, Any], InputT],
    problems: _Problems,
    *,
    first: int,
    most: int,
) -> Iterator[_Window[InputT]]:
    size = min(first, most)
    while True:
        numbers, checked, characters, end = [], [], 0, None
        for number, value in islice(inputs, size):
            end = number + 1
            try:
                checked.append(check(number, value))
            except LimbeckError as error:
                problems.take(number, error)
                continue
            numbers.append(number)
            characters += _count_characters(value)
            if characters >= _WINDOW_CHARACTERS:
                break
        if end is None:
            return
        yield _Window(numbers, checked, end)
        size = min(2 * size, most)


def _encode(
    window: _Window[InputT],
    encode: Callable[[Sequence[InputT]], EncodedT],
    problems: _Problems,
) -> tuple[_Window[InputT], EncodedT | None]:
    """Returns a window's tokens, and the window without the inputs that have none."""
    if not window.inputs:
        return window, None
    try:
        return window, encode(window.inputs)
    except LimbeckError:
        numbers, inputs = [], []
        for number, value in zip(window.numbers, window.inputs, strict=True):
            try:
                encode([value])
            except LimbeckError as error:
                problems.take(number, type(error)(f"input {number}: {error}"))
            else:
                numbers.append(number)
                inputs.append(value)
        if len(inputs) == len(window.inputs):  # it is about none of them
            raise
    return _Window(numbers, inputs, window.end), encode(inputs) if inputs else None


def _one_ahead(
    make: Callable[[_Window[InputT]], EncodedT], windows: Iterator[_Window[InputT]]
) -> Iterator[EncodedT]:
    """Yields what is made of windows, the next one's in a thread while one's is used.

    The first is made at once, so that a single text pays for no thread.
    """
    window = next(windows, None)
    if window is None:
        return
    made = make(window)
    following = next(windows, None)
    if following is None:
        yield made
        return
    with ThreadPoolExecutor(1, thread_name_prefix="limbeck-tokenizer") as thread:
        while following is not None:
            future = thread.submit(make, following)
            yield made
            following = next(windows, None)
            made = future.result()
        yield made


def _count_characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_count_characters, value.values()))
    return sum(map(_count_characters, value)) if isinstance(value, list | tuple) else 0
