"""A tokenizer of some of its pieces: which must stay for texts to keep theirs, and new numbers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordPiece

from limbeck.errors import SettingsError
from limbeck.tokenizers.tokenizer import Tokenizer

Ids = npt.NDArray[np.int64]


def count_pieces(tokenizer: Tokenizer, texts: Sequence[str]) -> Ids:
    """Returns how often each piece is needed for texts.

    Of a word that WordPiece finds no pieces for, those that it tried count too: without them it
    might find some.

    Shape: (vocab_size,).

    Raises:
        DataError: If a text is not Unicode.
    """
    rows = tokenizer.encode_batch_ids(texts, add_special_tokens=False)
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    for text, row in zip(texts, rows, strict=True):
        counts += np.bincount(row, minlength=tokenizer.vocab_size)
        if isinstance(tokenizer._backend.model, WordPiece) and tokenizer.unk_token_id in row:
            for piece in _tried_in_vain(tokenizer._backend, text):
                counts[tokenizer._backend.token_to_id(piece)] += 1
    return counts


def choose_pieces(
    tokenizer: Tokenizer, counts: Ids, *, min_count: int = 1, max_pieces: int | None = None
) -> Ids:
    """Returns the ids to keep, ascending: what was counted, and what cannot be done without.

    That is the special and added tokens; the bytes of a byte-level vocabulary, so that it still
    spells everything; the pieces that others are merged from; and the rarest piece of a Unigram
    vocabulary, by whose score it weighs what it does not know.

    Args:
        tokenizer: The tokenizer.
        counts: As `count_pieces` gives them, or of a corpus.
        min_count: A piece that occurs less often goes.
        max_pieces: Only so many pieces stay, the most frequent ones.

    Raises:
        SettingsError: If `max_pieces` is below what cannot be done without.
    """
    model = json.loads(tokenizer._backend.model.__getstate__())
    always = _find_always(tokenizer, model)
    parts = _find_parts(model)
    if max_pieces is not None and max_pieces < len(always):
        raise SettingsError(
            f"max_pieces = {max_pieces}, but the tokenizer's special tokens and what else it can't "
            f"do without are {len(always)} pieces; accepted: {len(always)} and more"
        )
    kept = set(always)
    ranked = np.lexsort((np.arange(len(counts)), -counts))
    for index in ranked[: np.count_nonzero(counts >= max(min_count, 1))].tolist():
        new = _with_parts(index, parts) - kept
        if max_pieces is None or len(kept) + len(new) <= max_pieces:
            kept |= new
    return np.array(sorted(kept), dtype=np.int64)


def keep_pieces(tokenizer: Tokenizer, ids: Collection[int]) -> Tokenizer:
    """Returns a tokenizer of some of the pieces, numbered anew in the same order.

    Args:
        tokenizer: The tokenizer, which is left as it is.
        ids: The pieces to keep, as `choose_pieces` gives them.

    Raises:
        SettingsError: If a special token, or another that the pipeline names, is not among them.
    """
    new = {old: place for place, old in enumerate(sorted(int(i) for i in ids))}
    lost = [index for index in _named_ids(tokenizer) if index not in new]
    if lost:
        pieces = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(lost)))
        raise SettingsError(
            f"the pieces to keep lack {pieces}; accepted: pieces with all special and added tokens"
        )
    content = json.loads(tokenizer._backend.to_str())
    model = content["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [entry for index, entry in enumerate(model["vocab"]) if index in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {
            piece: new[index] for piece, index in model["vocab"].items() if index in new
        }
    if "merges" in model:
        known = model["vocab"].keys()
        model["merges"] = [
            pair for pair in model["merges"] if {*pair, _merge(pair, model)} <= known
        ]
    for token in content["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber_frame(content.get("post_processor"), new)
    made = Tokenizer(Backend.from_str(json.dumps(content)), tokenizer.config)
    expected = {p: new[i] for p, i in tokenizer.get_vocab().items() if i in new}
    if made.get_vocab() != expected:
        raise SettingsError(
            "the tokenizer has added tokens among the numbers of its other pieces, which can't be "
            "numbered anew; accepted: a tokenizer whose added tokens come last"
        )
    return made


def _renumber_frame(part: Any, new: Mapping[int, int]) -> None:
    """Gives the special tokens in a post-processor's description their new numbers."""
    if part is None:
        return
    for inner in part.get("processors", []):
        _renumber_frame(inner, new)
    for token in part.get("special_tokens", {}).values():
        token["ids"] = [new[index] for index in token["ids"]]
    for role in ("cls", "sep"):
        if role in part:
            content, index = part[role]
            part[role] = [content, new[index]]


def _named_ids(tokenizer: Tokenizer) -> set[int]:
    """Returns the tokens that the pipeline knows beside its model."""
    frame = tokenizer.frame
    added = tokenizer._backend.get_added_tokens_decoder()
    return {*tokenizer.all_special_ids, *added, *frame.before, *frame.after}


def _find_always(tokenizer: Tokenizer, model: Mapping[str, Any]) -> set[int]:
    always = _named_ids(tokenizer)
    vocab = model["vocab"]
    match model["type"]:
        case "Unigram":
            lowest = min(range(len(vocab)), key=lambda index: vocab[index][1])
            always |= {lowest} if model["unk_id"] is None else {lowest, model["unk_id"]}
        case "BPE":
            always |= {index for piece, index in vocab.items() if len(piece) == 1}
            always |= {vocab[byte] for byte in _BYTES if byte in vocab}
    return always


_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""How vocabularies spell the bytes that they fall back to."""


def _find_parts(model: Mapping[str, Any]) -> dict[int, set[int]]:
    """Returns what a piece is merged from, whichever way."""
    parts: dict[int, set[int]] = {}
    vocab = model["vocab"]
    for pair in model.get("merges", []):
        parts.setdefault(vocab[_merge(pair, model)], set()).update(vocab[piece] for piece in pair)
    return parts


def _merge(pair: Sequence[str], model: Mapping[str, Any]) -> str:
    left, right = pair
    return left + right[len(model.get("continuing_subword_prefix") or "") :]


def _with_parts(index: int, parts: Mapping[int, set[int]]) -> set[int]:
    found: set[int] = set()
    left = [index]
    while left:
        piece = left.pop()
        if piece not in found:
            found.add(piece)
            left += parts.get(piece, ())
    return found


def _tried_in_vain(backend: Backend, text: str) -> Iterable[str]:
    """Yields the pieces that WordPiece takes of a word before it finds that it has none for it."""
    model = backend.model
    assert isinstance(model, WordPiece)
    normalized = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
    words = backend.pre_tokenizer.pre_tokenize_str(normalized) if backend.pre_tokenizer else []
    for word, _ in words:
        if len(word) > model.max_input_chars_per_word:
            continue
        start = 0
        taken: list[str] = []
        while start < len(word):
            piece = _longest_piece(word[start:], model, within=start > 0)
            if piece is None:
                yield from taken
                break
            taken.append(piece)
            start += len(piece) - (len(model.continuing_subword_prefix) if start else 0)


def _longest_piece(text: str, model: WordPiece, *, within: bool) -> str | None:
    prefix = model.continuing_subword_prefix if within else ""
    pieces = (prefix + text[:end] for end in range(len(text), 0, -1))
    return next((piece for piece in pieces if model.token_to_id(piece) is not None), None)
