"""Long texts as overlapping windows, alone or each with a question before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tokenizers import Encoding

from limbeck.errors import SettingsError
from limbeck.tokenizers.tokenizer import Tokenizer

_USUAL_LENGTH = 384
"""Of windows with a question, as in the original SQuAD runs of BERT."""


@dataclass(frozen=True, slots=True)
class TextWindow:
    """A part of a text that is short enough for a model.

    Attributes:
        index: Which of the texts it is a part of.
        encoding: Its tokens, with special ones and those of the question.
        first: First token of the text.
        last: Last token of the text; below `first` if the text has none.
        begin: Which token of the whole text `first` is.
        offsets: Where its tokens stand; those of the text without the blanks before them, which
            byte-level and Unigram vocabularies count among a token's characters.
    """

    index: int
    encoding: Encoding
    first: int
    last: int
    begin: int
    offsets: Sequence[tuple[int, int]]


def cut_windows(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    max_length: int,
    stride: int,
    questions: Sequence[str] | None = None,
) -> list[TextWindow]:
    """Cuts texts into windows, at least one a text, in the order in which they are read.

    Args:
        tokenizer: Makes the tokens.
        texts: The texts.
        max_length: Longest window in tokens, with special ones and the question.
        stride: Tokens of the text that neighbouring windows share.
        questions: What stands whole before each part of a text, one for each text.

    Raises:
        DataError: If a question leaves no room for its text.
        SettingsError: If the stride leaves none.

    Example:
        >>> from limbeck.tokenizers import train_wordpiece
        >>> tokenizer = train_wordpiece(["a b c d e"], vocab_size=20, min_frequency=1)
        >>> windows = cut_windows(tokenizer, ["a b c d e"], max_length=5, stride=1)
        >>> [window.encoding.tokens[window.first : window.last + 1] for window in windows]
        [['a', 'b', 'c'], ['c', 'd', 'e']]
        >>> [window.begin for window in windows]
        [0, 2]
    """
    if not texts:
        return []
    encoded = tokenizer(
        list(texts) if questions is None else list(questions),
        None if questions is None else list(texts),
        truncation="only_first" if questions is None else "only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    owners = encoded["overflow_to_sample_mapping"]
    side = 0 if questions is None else 1
    windows: list[TextWindow] = []
    for index, rows in groupby(zip(owners, encoded.encodings, strict=True), lambda row: row[0]):
        windows += _place(
            [row for _, row in rows], index, text=texts[index], stride=stride, side=side
        )
    return windows


def _place(
    rows: Sequence[Encoding], index: int, *, text: str, stride: int, side: int
) -> list[TextWindow]:
    """Finds the text in each window, and each window in the text."""
    found = []
    for row in rows:
        sequences = row.sequence_ids
        inside = [place for place, number in enumerate(sequences) if number == side]
        first, last = (inside[0], inside[-1]) if inside else (0, -1)
        found.append((row, first, last))
    # A tokenizer that cuts on the left gives a text's last window first.
    found.sort(key=lambda window: window[0].offsets[window[1]][0])
    windows: list[TextWindow] = []
    begin = 0
    for row, first, last in found:
        offsets = list(row.offsets)
        for place in range(first, last + 1):
            offsets[place] = _without_blanks(text, *offsets[place])
        windows.append(TextWindow(index, row, first, last, begin, offsets))
        begin += last + 1 - first - stride
    return windows


def _without_blanks(text: str, start: int, stop: int) -> tuple[int, int]:
    """Returns where a token stands without blanks before it; one of blanks alone stays."""
    begin = start
    while begin < stop and text[begin].isspace():
        begin += 1
    return (begin, stop) if begin < stop else (start, stop)


def cut_texts(tokenizer: Tokenizer, texts: Sequence[str], *, max_tokens: int) -> list[str]:
    """Returns texts without what comes after their first `max_tokens` tokens."""
    encoded = tokenizer(list(texts), add_special_tokens=False)
    return [
        text[: row.offsets[max_tokens - 1][1]] if len(row.ids) > max_tokens else text
        for text, row in zip(texts, encoded.encodings, strict=True)
    ]


def require_room(
    tokenizer: Tokenizer,
    *,
    max_length: int,
    stride: int,
    max_question_tokens: int,
    names: tuple[str, str],
) -> None:
    """Refuses questions and strides that leave no room for the text.

    Args:
        tokenizer: Knows the number of special tokens.
        max_length: Longest window in tokens.
        stride: Tokens of the text that neighbouring windows share.
        max_question_tokens: Longest question.
        names: What the settings of question and stride are called, for the message.

    Raises:
        SettingsError: If there is none.
    """
    room = max_length - tokenizer.num_special_tokens(pair=True)
    needed = max_question_tokens + stride
    if needed >= room:
        least = needed + max_length - room + 1
        usual = f" ({_USUAL_LENGTH} is usual)" if least <= _USUAL_LENGTH else ""
        raise SettingsError(
            f"max_length = {max_length} has no room for questions of {max_question_tokens} tokens "
            f"and a stride of {stride}; give at least {least}{usual}, or lower "
            f"{names[0]} or {names[1]}"
        )
