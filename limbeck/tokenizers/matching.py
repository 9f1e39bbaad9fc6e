"""Whether a pipeline is what a class of `transformers` makes of the vocabulary, and with what."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE, Model, Unigram, WordPiece

from limbeck.tokenizers.classes import TokenizerClass
from limbeck.tokenizers.layouts import MAX_WORD_LENGTH, PREFIX, Parts, Settings, Special

_BPE_OPTIONS = {
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
_EMPTY_IF_NULL = ("continuing_subword_prefix", "end_of_word_suffix")


def find_settings(
    backend: Tokenizer, known: TokenizerClass, special_tokens: Mapping[str, str]
) -> Settings | None:
    """Returns the settings with which a class makes a pipeline, or None if it never does.

    Args:
        backend: The pipeline, with its special tokens.
        known: The class.
        special_tokens: Spelling by role.
    """
    special = locate(backend, special_tokens)
    if not _has_model_of(backend, known, special):
        return None
    found = [_describe(getattr(backend, name)) for name in Parts._fields]
    charsmap = find_charsmap(found[0])
    for settings in _choices(known):
        made = known.lay_out(settings, special, charsmap)
        if all(
            _is_same(theirs, _describe(ours), is_frame=name == "post_processor", known=known)
            for name, theirs, ours in zip(Parts._fields, found, made, strict=True)
        ):
            return settings
    return None


def apply_layout(
    backend: Tokenizer,
    known: TokenizerClass,
    settings: Settings,
    special_tokens: Mapping[str, str],
    *,
    charsmap: str | None = None,
) -> None:
    """Makes a backend the pipeline of a class over its own model and tokens.

    Args:
        backend: Changed in place.
        known: The class.
        settings: Its settings.
        special_tokens: Spelling by role.
        charsmap: The character map of the vocabulary; if None, the one that it has.
    """
    if charsmap is None:
        charsmap = find_charsmap(_describe(backend.normalizer))
    parts = known.lay_out(settings, locate(backend, special_tokens), charsmap)
    if parts.normalizer is not None:
        backend.normalizer = parts.normalizer
    backend.pre_tokenizer = parts.pre_tokenizer
    backend.decoder = parts.decoder
    if parts.post_processor is not None and (
        backend.post_processor is None or not known.takes_any_frame
    ):
        backend.post_processor = parts.post_processor


def locate(backend: Tokenizer, special_tokens: Mapping[str, str]) -> Special:
    """Returns each special token with its id."""
    return {
        role: (content, index)
        for role, content in special_tokens.items()
        if (index := backend.token_to_id(content)) is not None
    }


def find_charsmap(normalizer: Any) -> str | None:
    """Returns the character map in a normaliser's description, as base64."""
    if not isinstance(normalizer, dict):
        return None
    if normalizer.get("type") == "Precompiled":
        return str(normalizer["precompiled_charsmap"])
    parts = normalizer.get("normalizers", [])
    return next(filter(None, map(find_charsmap, parts)), None)


def describe_model(model: Model) -> dict[str, Any]:
    """Returns what a model has beside its pieces and merges."""
    content = _describe(model)
    return {key: value for key, value in content.items() if key not in ("type", "vocab", "merges")}


def _describe(part: Any) -> Any:
    """Returns what `tokenizer.json` says of a part."""
    return None if part is None else json.loads(part.__getstate__())


def _choices(known: TokenizerClass) -> Iterator[dict[str, Any]]:
    """Yields every combination of a class's settings, the defaults first."""
    for values in itertools.product(*known.settings.values()):
        yield dict(zip(known.settings, values, strict=True))


def _has_model_of(backend: Tokenizer, known: TokenizerClass, special: Special) -> bool:
    if type(backend.model).__name__ != known.model:
        return False
    if any(role not in special for role in known.special_tokens):
        return False
    if any(backend.token_to_id(piece) is None for piece in known.pieces):
        return False
    found, (unk_token, unk_id) = describe_model(backend.model), special["unk_token"]
    match backend.model:
        case BPE():
            for key in _EMPTY_IF_NULL:
                found[key] = found[key] or ""
            return found == _BPE_OPTIONS
        case WordPiece():
            return found == {
                "unk_token": unk_token,
                "continuing_subword_prefix": PREFIX,
                "max_input_chars_per_word": MAX_WORD_LENGTH,
            }
        case Unigram():
            expected = unk_id if known.unk_id is None else known.unk_id
            return bool(found["unk_id"] == expected and not found["byte_fallback"])
    return False


def _is_same(theirs: Any, ours: Any, *, is_frame: bool, known: TokenizerClass) -> bool:
    # A file that says no frame leaves it to the class, and BERT's class always makes its own.
    if is_frame and (theirs is None or known.takes_any_frame or known.is_bert):
        return True
    return bool(theirs == ours)
