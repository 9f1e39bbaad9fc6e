"""Texts far longer than what is kept of them: no more is read than decides the kept tokens.

At a blank a BERT pipeline forgets what stood before: the tokens of a text are those of its part up
to the blank, then those of the rest. So its first tokens are those of its beginning alone, and all
of them those of its pieces. Whole, ten million characters take 1.3 GB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from limbeck.tokenizers.backend import is_plain_bert

Count: TypeAlias = Callable[[list[str]], list[int]]
"""Returns the number of tokens of each text, without special ones."""

_PIECE = 2**18
"""Characters of a text that are read at a time where all of it is."""
_CHARACTERS_A_TOKEN = 16
"""Characters that are read for a token that is kept, at first: three times what English has."""


def find_cuts(backend: Tokenizer) -> re.Pattern[str] | None:
    """Returns the characters before which a text can be cut with its tokens unchanged.

    They are blanks, and Chinese characters where each is a word; None for a pipeline of another
    kind, or one with added tokens that hold such a character, and so might be cut themselves.
    """
    if not is_plain_bert(backend):
        return None
    normalizer = backend.normalizer
    assert isinstance(normalizer, BertNormalizer)
    added = backend.get_added_tokens_decoder().values()
    # What follows a token decides whether it stands alone.
    stand_alone = any(token.single_word for token in added)
    chinese = "\u4e00-\u9fff" if normalizer.handle_chinese_chars and not stand_alone else ""
    cuts = re.compile(f"[ \t\n\r{chinese}]")
    contents = [normalizer.normalize_str(t.content) if t.normalized else t.content for t in added]
    return None if any(cuts.search(content) for content in contents) else cuts


def cut_into_pieces(text: str, cuts: re.Pattern[str] | None) -> Iterator[str]:
    """Yields pieces of a text whose tokens, one piece after the other, are those of the text."""
    start = 0
    while cuts is not None and len(text) - start > 2 * _PIECE:
        end = _next_cut(text, start + _PIECE, cuts)
        yield text[start:end]
        start = end
    yield text[start:]


def leave_out_unread(
    texts: Sequence[str],
    *,
    num_tokens: int,
    cuts: re.Pattern[str],
    count: Count,
    with_end: bool = False,
) -> list[str]:
    """Returns texts of the same first tokens, and more of them than are kept where the texts had.

    Args:
        texts: Of any length.
        num_tokens: How many tokens are kept at most.
        cuts: Where texts can be cut.
        count: Counts tokens.
        with_end: Keep as many of the last tokens too; what is left out is the middle.
    """
    found = list(texts)
    size = num_tokens * _CHARACTERS_A_TOKEN
    places = [place for place, text in enumerate(texts) if len(text) > 2 * size]
    while places:
        parts = {place: _ends(texts[place], size, cuts, with_end=with_end) for place in places}
        counts = iter(count([part for place in places for part in parts[place]]))
        least = {place: min([next(counts) for _ in parts[place]]) for place in places}
        for place in places:
            if least[place] > num_tokens:
                found[place] = "".join(parts[place])
        size *= 2
        places = [p for p in places if least[p] <= num_tokens and len(texts[p]) > 2 * size]
    return found


def leave_out_unread_of_pairs(
    pairs: Sequence[tuple[str, str]], *, num_tokens: int, cuts: re.Pattern[str], count: Count
) -> list[tuple[str, str]]:
    """Does the same for pairs of which the longer text is cut first.

    How many tokens of each are kept depends on which has more, so that one of them is read whole.
    """
    found = list(pairs)
    size = num_tokens * _CHARACTERS_A_TOKEN
    places = [place for place, pair in enumerate(pairs) if max(map(len, pair)) > 2 * size]
    while places:
        parts = [
            tuple(_ends(text, size, cuts)[0] if len(text) > 2 * size else text for text in pairs[p])
            for p in places
        ]
        counts = count([part for pair in parts for part in pair])
        sizes = zip(counts[::2], counts[1::2], strict=True)
        left = []
        for place, pair, found_sizes in zip(places, parts, sizes, strict=True):
            is_cut = [part != text for part, text in zip(pair, pairs[place], strict=True)]
            if _is_settled(is_cut, found_sizes, num_tokens):
                found[place] = (pair[0], pair[1])
            else:
                left.append(place)
        size *= 2
        places = [place for place in left if max(map(len, pairs[place])) > 2 * size]
    return found


def _is_settled(is_cut: Sequence[bool], sizes: Sequence[int], num_tokens: int) -> bool:
    """Tells whether it is known which text of a pair is longer, and that enough of it is there."""
    both = zip(is_cut, sizes, reversed(sizes), strict=True)
    return not all(is_cut) and all(
        size > max(num_tokens, other) for cut, size, other in both if cut
    )


def _ends(
    text: str, size: int, cuts: re.Pattern[str], *, with_end: bool = False
) -> tuple[str, ...]:
    """Returns a beginning of at least `size` characters, and an end of at most as many."""
    beginning = text[: _next_cut(text, size, cuts)]
    if not with_end:
        return (beginning,)
    return beginning, text[_next_cut(text, len(text) - size, cuts) :]


def _next_cut(text: str, at: int, cuts: re.Pattern[str]) -> int:
    found = cuts.search(text, at)
    return len(text) if found is None else found.start()
