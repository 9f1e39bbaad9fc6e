"""Checks on the texts given to a tokenizer; each error names the text that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from tokenizers import Encoding, Tokenizer

from limbeck.errors import DataError
from limbeck.tokenizers.options import Truncation

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
        DataError: If a text has half of a surrogate pair, which is no Unicode character.
    """
    with _naming_surrogates(inputs):
        return backend.encode_batch(
            inputs, add_special_tokens=add_special_tokens, is_pretokenized=words
        )


def encode_ids(
    backend: Tokenizer, texts: list[str], *, add_special_tokens: bool
) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """Encodes checked texts to ids alone on all cores; faster because offsets are not kept.

    Raises:
        DataError: If a text has half of a surrogate pair, which is no Unicode character.
    """
    with _naming_surrogates(texts):
        rows = backend.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
    return [np.array(row.ids, dtype=np.int32) for row in rows]


@contextmanager
def _naming_surrogates(inputs: Sequence[Any]) -> Iterator[None]:
    """Turns the library's TypeError into one that names the text; looking first would cost more."""
    try:
        yield
    except TypeError:
        for index, item in enumerate(inputs):
            check_unicode(item, f"text {index}")
        raise


def check_unicode(item: object, place: str) -> None:
    """Raises a `DataError` that names the first lone surrogate in a text, pair or word list."""
    if not isinstance(item, str):
        for part in item if isinstance(item, (tuple, list)) else ():
            check_unicode(part, place)
        return
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(item[error.start])
        raise DataError(
            f"{place} has a lone surrogate U+{code:04X} at character {error.start}, which is not "
            "a Unicode character. Read the source with errors='replace', or repair the text with "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
        ) from None


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
    text = repr(value)
    if len(text) > 40:
        text = text[:37] + "..."
    return f"{text} ({type(value).__name__})"
