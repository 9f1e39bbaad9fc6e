"""How classes of `transformers` make a pipeline over a vocabulary, as functions of their settings.

A class there takes pieces, merges and special tokens from `tokenizer.json`, and makes everything
else itself. So a folder keeps its class only where that makes the pipeline that is in its file.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from tokenizers import Regex, decoders, normalizers, pre_tokenizers, processors

Settings: TypeAlias = Mapping[str, Any]
Special: TypeAlias = Mapping[str, tuple[str, int]]
"""Spelling and id of the token of each role that has one."""

PREFIX = "##"
"""What a WordPiece piece starts with when it continues a word."""
MAX_WORD_LENGTH = 100
"""Characters of a word; WordPiece calls longer ones unknown without looking at them."""


class Parts(NamedTuple):
    """A pipeline without its model."""

    normalizer: normalizers.Normalizer | None
    pre_tokenizer: pre_tokenizers.PreTokenizer
    decoder: decoders.Decoder
    post_processor: processors.PostProcessor | None
    """None where it is the file's."""


Layout: TypeAlias = Callable[[Settings, Special, "str | None"], Parts]
"""Makes a pipeline from a class's settings, its special tokens, and the character map that came
with the vocabulary."""


def lay_out_bert(settings: Settings, special: Special, _charsmap: str | None) -> Parts:
    """BERT's, and that of its relatives."""
    return _bert_parts(settings, _template(special, pair="cls $A sep $B:1 sep:1"))


def lay_out_mpnet(settings: Settings, special: Special, _charsmap: str | None) -> Parts:
    """MPNet's: BERT's with RoBERTa's frame."""
    frame = processors.RobertaProcessing(
        special["sep_token"], special["cls_token"], trim_offsets=True, add_prefix_space=False
    )
    return _bert_parts(settings, frame)


def _bert_parts(settings: Settings, frame: processors.PostProcessor) -> Parts:
    normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings["tokenize_chinese_chars"],
        strip_accents=settings["strip_accents"],
        lowercase=settings["do_lower_case"],
    )
    splitter = pre_tokenizers.BertPreTokenizer()
    return Parts(normalizer, splitter, decoders.WordPiece(prefix=PREFIX), frame)


def lay_out_roberta(settings: Settings, special: Special, _charsmap: str | None) -> Parts:
    """RoBERTa's."""
    prefix = settings["add_prefix_space"]
    return _byte_level_parts(
        settings,
        processors.RobertaProcessing(
            special["sep_token"],
            special["cls_token"],
            trim_offsets=settings["trim_offsets"],
            add_prefix_space=prefix,
        ),
    )


def lay_out_deberta(settings: Settings, special: Special, _charsmap: str | None) -> Parts:
    """That of DeBERTa's first version."""
    return _byte_level_parts(settings, _template(special, pair="cls $A sep sep $B sep"))


def lay_out_gpt2(settings: Settings, _special: Special, _charsmap: str | None) -> Parts:
    """GPT-2's."""
    return _byte_level_parts(settings, None)


def _byte_level_parts(settings: Settings, frame: processors.PostProcessor | None) -> Parts:
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=settings["add_prefix_space"])
    return Parts(None, splitter, decoders.ByteLevel(), frame)


def lay_out_xlm_roberta(settings: Settings, special: Special, charsmap: str | None) -> Parts:
    """XLM-R's, and CamemBERT's."""
    normalizer = None if charsmap is None else _precompiled(charsmap)
    scheme = "always" if settings["add_prefix_space"] else "never"
    ends = {"cls_token": special["bos_token"], "sep_token": special["eos_token"]}
    frame = _template(ends, pair="cls $A sep sep $B sep")
    return _metaspace_parts(normalizer, [pre_tokenizers.WhitespaceSplit()], scheme, frame)


def lay_out_albert(settings: Settings, special: Special, charsmap: str | None) -> Parts:
    """ALBERT's."""
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace("``", '"'),
        normalizers.Replace("''", '"'),
    ]
    if not settings["keep_accents"]:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings["do_lower_case"]:
        steps.append(normalizers.Lowercase())
    if charsmap is not None:
        steps.append(_precompiled(charsmap))
    scheme = "always" if settings["add_prefix_space"] else "never"
    splitters: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.WhitespaceSplit()]
    frame = _template(special, pair="cls $A sep $B:1 sep:1")
    return _metaspace_parts(normalizers.Sequence(steps), splitters, scheme, frame)


def lay_out_deberta_v2(settings: Settings, special: Special, _charsmap: str | None) -> Parts:
    """That of DeBERTa's second and third version, which has no use for a character map."""
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        normalizers.NFC(),
        normalizers.Strip(left=False, right=True),
    ]
    if settings["do_lower_case"]:
        steps.insert(0, normalizers.Lowercase())
    splitters: list[pre_tokenizers.PreTokenizer] = []
    if settings["split_by_punct"]:
        splitters.append(pre_tokenizers.Punctuation(behavior="isolated"))
    scheme = "always" if settings["add_prefix_space"] else "first"
    frame = _template(special, pair="cls $A sep $B:1 sep:1")
    return _metaspace_parts(normalizers.Sequence(steps), splitters, scheme, frame)


def _metaspace_parts(
    normalizer: normalizers.Normalizer | None,
    splitters: list[pre_tokenizers.PreTokenizer],
    scheme: str,
    frame: processors.PostProcessor,
) -> Parts:
    marks = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    decoder = decoders.Metaspace(replacement="▁", prepend_scheme=scheme)
    return Parts(normalizer, pre_tokenizers.Sequence([*splitters, marks]), decoder, frame)


def _precompiled(charsmap: str) -> normalizers.Normalizer:
    return normalizers.Precompiled(base64.b64decode(charsmap))


def _template(special: Special, *, pair: str) -> processors.PostProcessor:
    """Makes a frame of `cls` and `sep`: around a text `cls $A sep`, around two as is said."""
    tokens = {role: special[f"{role}_token"] for role in ("cls", "sep")}

    def spell(template: str) -> list[str]:
        parts = [part.partition(":") for part in template.split()]
        return [f"{tokens[n][0] if n in tokens else n}:{t or 0}" for n, _, t in parts]

    return processors.TemplateProcessing(
        single=spell("cls $A sep"), pair=spell(pair), special_tokens=[*{*tokens.values()}]
    )
