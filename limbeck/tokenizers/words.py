"""Which pieces begin a word, by the mark that each kind of vocabulary has for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tokenizers import Tokenizer
from tokenizers.models import WordPiece

Continues: TypeAlias = Callable[[str], bool]
"""Tells of a piece whether it goes on with the word of the piece before it."""

_BYTE_BLANKS = tuple("ĠĊĉč")
"""Blank, newline, tab and carriage return, as byte-level vocabularies spell them."""


def find_continuations(backend: Tokenizer) -> Continues | None:
    """Returns how pieces within words are told; None where the vocabulary marks no words.

    WordPiece marks what continues a word, the others what begins one: byte-level BPE by the blank
    before it, Unigram and its relatives by a sign in the blank's place. Punctuation without a blank
    before it is a part of the word, and so is all of a text that has none, as in Chinese.
    """
    if isinstance(backend.model, WordPiece):
        prefix = backend.model.continuing_subword_prefix
        return lambda piece: piece.startswith(prefix) and piece != prefix
    for part in _parts(backend.pre_tokenizer):
        if part["type"] == "ByteLevel":
            return lambda piece: not piece.startswith(_BYTE_BLANKS)
        if part["type"] == "Metaspace":
            mark = part["replacement"]
            return lambda piece: not piece.startswith(mark)
    for part in _parts(backend.normalizer):
        if part["type"] == "Replace" and part["pattern"].get("String") == " ":
            mark = part["content"]
            return lambda piece: not piece.startswith(mark)
    return None


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Yields a normaliser or splitter, or those that it is a sequence of."""
    if part is not None:
        whole = json.loads(part.__getstate__())
        yield from whole.get("normalizers") or whole.get("pretokenizers") or [whole]
