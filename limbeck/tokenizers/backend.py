"""The pipeline inside a tokenizer: building it, copying it, and telling what decides its ids."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

from limbeck import limits
from limbeck.errors import CheckpointError, with_article
from limbeck.files import sha256_of_texts
from limbeck.tokenizers.classes import BERT_TOKENS
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.framing import read_frame
from limbeck.tokenizers.layouts import MAX_WORD_LENGTH, PREFIX


def parse_pipeline(text: str, *, where: str) -> Tokenizer:
    """Reads the text of a `tokenizer.json`, without its truncation and padding.

    Raises:
        CheckpointError: If it is no tokenizer, or not one whose ids we can vouch for.
    """
    try:
        backend = Tokenizer.from_str(text)
    except Exception as error:
        # The library raises a bare Exception, and nothing narrower, for a file it can't read.
        if type(error) is not Exception:
            raise
        raise CheckpointError(
            f"{where} is not a tokenizer that the tokenizers library can read ({error}); save it "
            "again with the library that made it, or update the package tokenizers."
        ) from None
    if not isinstance(backend.model, (BPE, Unigram, WordPiece)):
        raise CheckpointError(
            f"{where} holds {with_article(type(backend.model).__name__)} tokenizer; supported: "
            "BPE, Unigram, WordPiece."
        )
    if isinstance(backend.model, BPE) and backend.model.dropout:
        raise CheckpointError(
            f"{where} has dropout={backend.model.dropout}, with which a text gets other ids each "
            'time; write "dropout": null.'
        )
    content = json.loads(text)
    growth = max(_largest_growth(content.get(part)) for part in ("normalizer", "decoder"))
    if growth > limits.GROWTH.value:
        raise CheckpointError(
            f"{where}: its replacements can make {growth:,} characters of one; accepted: "
            + limits.GROWTH.describe()
        )
    backend.no_truncation()
    backend.no_padding()
    return backend


def _largest_growth(part: Any) -> int:
    """Returns how many characters the replacements in a part can make of one, at most.

    Each link of a chain multiplies what the one before has made.
    """
    if not isinstance(part, dict):
        return 1
    match part.get("type"):
        case "Sequence":
            links: list[Any] = part.get("normalizers") or part.get("decoders") or []
            return math.prod([_largest_growth(link) for link in links])
        case "Precompiled":  # a table: the length of a trie, the trie, the texts that it leads to
            table = base64.b64decode(part["precompiled_charsmap"])
            texts = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
            return max(1, *map(len, texts))
        case "Replace":
            length, found = len(part["content"]), part["pattern"].get("String")
            # What a regular expression finds may be empty, and then stands beside each character.
            return max(1, -(-length // len(found))) if found else 1 + length
        case _:
            return 1


_USUAL_SPELLINGS = {
    "bos_token": ("<s>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|endoftext|>"),
    "unk_token": ("[UNK]", "<unk>"),
    "pad_token": ("[PAD]", "<pad>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def find_special_tokens(backend: Tokenizer | None) -> dict[str, str]:
    """Reads special tokens off a tokenizer of which no file says what they are for.

    The first and last of a framed text are its own; the others are known by their spelling.
    """
    if backend is None:
        return {}
    added = backend.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special}
    found = {
        role: next(spelling for spelling in spellings if spelling in special)
        for role, spellings in _USUAL_SPELLINGS.items()
        if special & {*spellings}
    }
    frame = read_frame(backend)
    for role, ids in (("cls_token", frame.before[:1]), ("sep_token", frame.after[-1:])):
        for content in map(backend.id_to_token, ids):
            if content is not None:
                found[role] = content
    return found


def build_pipeline(
    vocab: Mapping[str, int],
    *,
    unk_token: str = BERT_TOKENS["unk_token"],
    lowercase: bool,
    tokenize_chinese_chars: bool = True,
    strip_accents: bool | None = None,
) -> Tokenizer:
    """Builds BERT's pipeline over a vocabulary; the special tokens are still to be added.

    Args:
        vocab: Piece to id.
        unk_token: Spelling of the unknown piece.
        lowercase: Whether texts are lower-cased.
        tokenize_chinese_chars: Whether each CJK ideograph becomes a word.
        strip_accents: Whether accents are removed; None means as `lowercase` says.
    """
    backend = Tokenizer(WordPiece(dict(vocab), unk_token=unk_token))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=PREFIX)
    return backend


def add_missing_tokens(backend: Tokenizer, tokens: Mapping[str, AddedToken | None]) -> None:
    """Makes the backend recognise tokens in a text that it doesn't recognise yet.

    Args:
        backend: Changed in place.
        tokens: Spelling to how it is matched; None for a special token of the usual kind.
    """
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    new = [
        token or AddedToken(content, special=True, normalized=False)
        for content, token in tokens.items()
        if content not in known
    ]
    if new:
        backend.add_tokens(new)


def set_bert_template(backend: Tokenizer, special_tokens: Mapping[str, str]) -> None:
    """Makes the backend frame texts as `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`."""
    cls, sep = special_tokens["cls_token"], special_tokens["sep_token"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, backend.token_to_id(cls)), (sep, backend.token_to_id(sep))],
    )


def is_plain_bert(backend: Tokenizer) -> bool:
    """Tells whether the pipeline is what `build_pipeline` builds, whatever its settings."""
    normalizer, model = backend.normalizer, backend.model
    return (
        isinstance(normalizer, normalizers.BertNormalizer)
        and normalizer.clean_text
        and isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        and isinstance(model, WordPiece)
        and model.continuing_subword_prefix == PREFIX
        and model.max_input_chars_per_word == MAX_WORD_LENGTH
    )


def copy_pipeline(backend: Tokenizer) -> Tokenizer:
    """Returns a tokenizer of the same ids whose truncation and padding can be set apart.

    The vocabulary is shared, so a copy costs about 0.1 ms and no memory to speak of.
    """
    copy = Tokenizer(backend.model)
    # The setters refuse None in some versions of the library, and a new pipeline has none anyway.
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        value = getattr(backend, part)
        if value is not None:
            setattr(copy, part, value)
    added = backend.get_added_tokens_decoder()
    copy.add_tokens([added[index] for index in sorted(added)])
    copy.encode_special_tokens = backend.encode_special_tokens
    return copy


def put_blanks_before_words(backend: Tokenizer) -> Tokenizer | None:
    """Returns a copy that reads each given word as one within a text; None where any pipeline does.

    Byte-level vocabularies have other pieces for a word after a blank, and a word that is given by
    itself has none before it.
    """
    parts = {name: getattr(backend, name) for name in ("pre_tokenizer", "post_processor")}
    described = {n: part and json.loads(part.__getstate__()) for n, part in parts.items()}
    if not _set_prefix(described["pre_tokenizer"]):
        return None
    _set_prefix(described["post_processor"])
    empty = json.loads(Tokenizer(BPE()).to_str())
    made = Tokenizer.from_str(json.dumps(empty | described))
    copy = copy_pipeline(backend)
    for name, part in parts.items():
        if part is not None:
            setattr(copy, name, getattr(made, name))
    return copy


def _set_prefix(part: Any) -> bool:
    """Sets `add_prefix_space` in a part's description; returns whether that changes it."""
    inner = part if isinstance(part, list) else part.values() if isinstance(part, dict) else ()
    changed = False
    for value in inner:
        changed |= _set_prefix(value)
    if isinstance(part, dict) and part.get("add_prefix_space") is False:
        part["add_prefix_space"] = changed = True
    return changed


def compute_fingerprint(backend: Tokenizer, config: TokenizerConfig) -> str:
    """Returns a SHA-256 over everything that decides ids, and nothing else.

    Two tokenizers loaded from different files have the same fingerprint where they give the same
    ids: the pipeline is described by its meaning, not by the bytes of a file.
    """
    pieces = sorted((index, piece) for piece, index in backend.get_vocab().items())
    added = backend.get_added_tokens_decoder()
    frame = [
        [encoding.ids, encoding.type_ids]
        for encoding in (backend.encode(""), backend.encode("", ""))
    ]
    roles = {role: config.special_tokens.get(role) for role in BERT_TOKENS}
    roles["pad_token"] = config.pad_token
    description = {
        "pieces": pieces,
        "added": [[index, *_describe_added(added[index])] for index in sorted(added)],
        "roles": sorted((role, content) for role, content in roles.items() if content is not None),
        "split_special_tokens": config.split_special_tokens,
        "frame": frame,
        "pipeline": _describe_pipeline(backend),
    }
    text = json.dumps(description, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return sha256_of_texts([text])


def _describe_added(token: AddedToken) -> list[Any]:
    flags = [token.lstrip, token.rstrip, token.single_word, token.normalized, token.special]
    return [token.content, *flags]


def _describe_pipeline(backend: Tokenizer) -> dict[str, Any]:
    if is_plain_bert(backend):
        normalizer = backend.normalizer
        assert isinstance(normalizer, normalizers.BertNormalizer)
        accents = normalizer.strip_accents
        return {
            "lowercase": normalizer.lowercase,
            "tokenize_chinese_chars": normalizer.handle_chinese_chars,
            "strip_accents": normalizer.lowercase if accents is None else accents,
        }
    content = json.loads(backend.to_str())
    model = {key: value for key, value in content["model"].items() if key != "vocab"}
    return {"model": model} | {key: content[key] for key in ("normalizer", "pre_tokenizer")}
