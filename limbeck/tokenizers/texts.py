"""Checks on the texts given to a tokenizer; each error names the text that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from tokenizers import Encoding, Tokenizer

from limbeck import limits
from limbeck.errors import DataError, shorten
from limbeck.tokenizers.long_texts import cut_into_pieces
from limbeck.tokenizers.options import Truncation

_CHARACTERS_AT_A_TIME = 2**21
"""Of texts whose ids alone are wanted; some 200 MB in the library's form."""

IdArray: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Words: TypeAlias = Sequence[str]
Text: TypeAlias = "str | Words"
"""One text: a string, or its words where the call says `is_split_into_words=True`."""


def as_batch(texts: object, *, name: str, words: bool) -> tuple[list[Any], bool]:
    """Returns checked texts as a list, and whether they came as a batch.

    Args:
        texts: What the caller gave.
        name: The argument's name, for messages.
        words: Whether a text is a sequence of words.

    Raises:
        DataError: If the value, or one of its items, is of the wrong type.
    """
    if isinstance(texts, str) and not words:
        return [texts], False
    if not isinstance(texts, (Sequence, np.ndarray)) or isinstance(texts, (str, bytes)):
        hint = " Wrap it in list(...)." if hasattr(texts, "__iter__") else ""
        accepted = "a list of words or a list of such lists" if words else "a str or a list of str"
        raise DataError(f"{name} is {_show(texts)}; accepted: {accepted}.{hint}")
    items = list(texts)
    if not words:
        for index, item in enumerate(items):
            _check_str(item, f"{name}[{index}]")
        return items, True
    if items and all(isinstance(item, str) for item in items):
        return [items], False
    for index, item in enumerate(items):
        if isinstance(item, str) or not isinstance(item, Sequence):
            raise DataError(f"{name}[{index}] is {_show(item)}; accepted: a list of words.")
        for place, word in enumerate(item):
            _check_str(word, f"{name}[{index}][{place}]")
    return [list(item) for item in items], True


def pair_up(texts: list[Any], pairs: list[Any], *, batched: tuple[bool, bool]) -> list[Any]:
    """Joins first and second texts.

    Raises:
        DataError: If one is a single text and the other a batch, or their lengths differ.
    """
    if batched[0] != batched[1]:
        kinds = ["a batch" if is_batch else "a single text" for is_batch in batched]
        raise DataError(
            f"text is {kinds[0]} and text_pair is {kinds[1]}; give two texts, or two lists of one "
            "length."
        )
    if len(texts) != len(pairs):
        raise DataError(
            f"text has {len(texts)} items and text_pair has {len(pairs)}; they must have the same "
            "number."
        )
    return list(zip(texts, pairs, strict=True))


def encode_batch(
    backend: Tokenizer, inputs: list[Any], *, add_special_tokens: bool, words: bool = False
) -> list[Encoding]:
    """Encodes checked inputs on all cores.

    Raises:
        TextError: If the library can't encode a text.
    """
    _require_short(enumerate(inputs))
    with naming_texts(backend, inputs, words=words):
        return backend.encode_batch(
            inputs, add_special_tokens=add_special_tokens, is_pretokenized=words
        )


def encode_ids(
    backend: Tokenizer,
    texts: list[str],
    *,
    add_special_tokens: bool,
    cuts: re.Pattern[str] | None = None,
) -> list[IdArray]:
    """Encodes checked texts to ids alone on all cores; faster because offsets are not kept.

    Args:
        backend: The pipeline.
        texts: The texts.
        add_special_tokens: Whether to frame them.
        cuts: Where long texts can be cut, which are then read piece by piece.

    Raises:
        TextError: If the library can't encode a text.
    """
    found: list[list[IdArray]] = [[] for _ in texts]
    pieces = (
        (place, piece)
        for place, text in enumerate(texts)
        for piece in cut_into_pieces(text, None if add_special_tokens else cuts)
    )
    with naming_texts(backend, texts):
        for group in _groups(pieces):
            _require_short(group)
            rows = backend.encode_batch_fast(
                [piece for _, piece in group], add_special_tokens=add_special_tokens
            )
            for (place, _), row in zip(group, rows, strict=True):
                found[place].append(np.array(row.ids, dtype=np.int32))
    return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in found]


def _groups(pieces: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Divides pieces, so that the library's form of all tokens is never there at once."""
    group: list[tuple[int, str]] = []
    size = 0
    for place, piece in pieces:
        group.append((place, piece))
        size += len(piece)
        if size >= _CHARACTERS_AT_A_TIME:
            yield group
            group, size = [], 0
    if group:
        yield group


def count_tokens(backend: Tokenizer, texts: list[str]) -> list[int]:
    """Returns the number of tokens of each checked text, without special ones."""
    with naming_texts(backend, texts):
        return [len(row) for row in backend.encode_batch_fast(texts, add_special_tokens=False)]


class TextError(DataError):
    """A text of several that the library can't encode.

    Attributes:
        index: Which one.
        problem: What is wrong with it, and what to do.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(f"text {index} {problem}")
        self.index = index
        self.problem = problem


def _require_short(inputs: Iterable[tuple[int, Any]]) -> None:
    """Refuses a text, pair or list of words that would take all memory, read as a whole."""
    limit = limits.TEXT_CHARACTERS.value
    for index, item in inputs:
        size = len(item) if isinstance(item, str) else sum(map(len, item))
        if size > limit:
            raise TextError(
                index,
                f"has {size:,} characters, which have to be read at once; accepted: "
                f"{limits.TEXT_CHARACTERS.describe()} characters. Divide it",
            )


@contextmanager
def naming_texts(
    backend: Tokenizer, inputs: Sequence[Any], *, words: bool = False
) -> Iterator[None]:
    """Turns what the library raises into an error that names the text; looking first costs more.

    A panic of its Rust code is a `BaseException`, which no `except Exception` would stop.

    Raises:
        TextError: For half of a surrogate pair, which the library answers with a TypeError, and for
            a panic.
    """
    try:
        yield
    except TypeError:
        for index, item in enumerate(inputs):
            problem = find_surrogate(item)
            if problem is not None:
                raise TextError(index, problem) from None
        raise
    except BaseException as error:
        if not _is_panic(error):
            raise
        raise _name_panic(backend, inputs, error, words=words) from None


def _is_panic(error: BaseException) -> bool:
    return type(error).__module__ == "pyo3_runtime"


def _name_panic(
    backend: Tokenizer, inputs: Sequence[Any], panic: BaseException, *, words: bool
) -> DataError:
    """Returns an error that names the first input which alone makes the library panic."""
    fault = str(panic).partition("\n")[0][:200]
    for index, item in enumerate(inputs):
        try:
            backend.encode_batch([item], is_pretokenized=words)
        except BaseException as error:
            if not _is_panic(error):
                raise
            shown = _show(item)
            return TextError(
                index,
                f"is {shown}, on which the tokenizers library gave up: {fault}. Leave it out, or "
                "update the package tokenizers",
            )
    return DataError(f"the tokenizers library gave up on {len(inputs):,} texts together: {fault}")


def find_surrogate(item: object) -> str | None:
    """Returns what is wrong with a text, pair or list of words that has a lone surrogate."""
    if not isinstance(item, str):
        parts = item if isinstance(item, (tuple, list)) else ()
        return next(filter(None, map(find_surrogate, parts)), None)
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(item[error.start])
        return (
            f"has a lone surrogate U+{code:04X} at character {error.start}, which is not "
            "a Unicode character. Read the source with errors='replace', or repair the text with "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        )
    return None


def check_pair_truncation(
    backend: Tokenizer, pairs: list[Any], truncation: Truncation, *, num_special: int, words: bool
) -> None:
    """Refuses pairs that can't be cut as asked, which the library would answer with a panic.

    Args:
        backend: A pipeline without truncation and padding.
        pairs: The pairs of texts.
        truncation: How they are to be cut.
        num_special: Number of special tokens in a pair.
        words: Whether a text is a list of words.

    Raises:
        DataError: Names the first pair whose other text leaves no room, or whose window is not
            larger than the stride.
    """
    room = truncation.max_length - num_special
    cut = {"only_first": 0, "only_second": 1}.get(truncation.strategy)
    if cut is None and not truncation.stride:
        return

    def count(side: int, indices: Iterable[int]) -> dict[int, int]:
        chosen = list(indices)
        texts = [pairs[index][side] for index in chosen]
        rows = encode_batch(backend, texts, add_special_tokens=False, words=words)
        return {index: len(row) for index, row in zip(chosen, rows, strict=True)}

    # The text that stays whole is usually the short one, a question, so it is counted first.
    whole = 0 if cut is None else 1 - cut
    lengths = count(whole, range(len(pairs)))
    if cut is not None:
        lengths = {i: n for i, n in lengths.items() if n + truncation.stride >= room}
    others = count(1 - whole, lengths)
    for index, length in lengths.items():
        sizes = (length, others[index]) if whole == 0 else (others[index], length)
        side = _side_without_room(sizes, room=room, truncation=truncation)
        if side is not None:
            raise DataError(_no_room(index, side, sizes, truncation, room=room))


def _side_without_room(
    lengths: tuple[int, int], *, room: int, truncation: Truncation
) -> int | None:
    """Returns which text of a pair would keep no more tokens than the stride, if any."""
    if sum(lengths) <= room:
        return None
    cut = {"only_first": 0, "only_second": 1}.get(truncation.strategy)
    kept = _kept_lengths(lengths, room=room, strategy=truncation.strategy)
    for side, (length, keep) in enumerate(zip(lengths, kept, strict=True)):
        # A text may end up empty only by longest_first, which leaves a window of the other.
        if (keep == 0 and side == cut) or (keep < length and 0 < keep <= truncation.stride):
            return side
    return None


def _kept_lengths(lengths: tuple[int, int], *, room: int, strategy: str) -> tuple[int, int]:
    """Returns how many tokens of each text of a pair stay, as the tokenizers library decides it."""
    first, second = lengths
    if strategy == "only_first":
        return max(0, room - second), second
    if strategy == "only_second":
        return first, max(0, room - first)
    short, long = sorted(lengths)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (short, long) if first <= second else (long, short)


def _no_room(
    index: int, side: int, lengths: tuple[int, int], truncation: Truncation, *, room: int
) -> str:
    names = ("text", "text_pair")
    need = f" and a stride of {truncation.stride}" if truncation.stride else ""
    return (
        f"pair {index} can't be cut by truncation={truncation.strategy!r} to max_length="
        f"{truncation.max_length}: {names[1 - side]} has {lengths[1 - side]} tokens of the {room} "
        f"for text, which leaves too little for {names[side]} ({lengths[side]} tokens){need}. Use "
        "a larger max_length, a smaller stride, or truncation='longest_first'."
    )


def _check_str(item: object, place: str) -> None:
    if not isinstance(item, str):
        hint = " Decode it first." if isinstance(item, bytes) else ""
        raise DataError(f"{place} is {_show(item)}; every text must be a str.{hint}")


def _show(value: object) -> str:
    return f"{shorten(value, length=40)} ({type(value).__name__})"
