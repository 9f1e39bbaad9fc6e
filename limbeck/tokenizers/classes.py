"""What is known of the tokenizer classes that `tokenizer_config.json` names.

A folder whose class is not here, as that of a new family may be, is read by its files alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
"""What special tokens are there for; a tokenizer has tokens for some of them."""

GENERIC = "PreTrainedTokenizerFast"
"""The class of `transformers` that takes any `tokenizer.json` as it stands."""

BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
"""BERT's special tokens."""

_ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_DEBERTA_TOKENS = {"bos_token": "[CLS]", "eos_token": "[SEP]", **BERT_TOKENS}


@dataclass(frozen=True, kw_only=True)
class TokenizerClass:
    """A class of `transformers`, which stands for a way to make a tokenizer.

    Attributes:
        name: Of the class.
        model: The kind of its vocabulary.
        special_tokens: How its special tokens are spelt where the files don't say.
        has_token_types: Whether a call gives token types.
        is_bert: Whether `tokenizer_config.json` has the settings of BERT's normaliser.
    """

    name: str
    model: str
    special_tokens: Mapping[str, str]
    has_token_types: bool = False
    is_bert: bool = False


def _describe_bert(name: str, *, has_token_types: bool = True) -> TokenizerClass:
    return TokenizerClass(
        name=name,
        model="WordPiece",
        special_tokens=BERT_TOKENS,
        has_token_types=has_token_types,
        is_bert=True,
    )


_CLASSES = (
    _describe_bert("BertTokenizer"),
    _describe_bert("ElectraTokenizer"),
    _describe_bert("MobileBertTokenizer"),
    _describe_bert("DistilBertTokenizer", has_token_types=False),
    TokenizerClass(
        name="MPNetTokenizer",
        model="WordPiece",
        special_tokens={**_ROBERTA_TOKENS, "unk_token": "[UNK]"},
    ),
    TokenizerClass(name="RobertaTokenizer", model="BPE", special_tokens=_ROBERTA_TOKENS),
    TokenizerClass(name="XLMRobertaTokenizer", model="Unigram", special_tokens=_ROBERTA_TOKENS),
    TokenizerClass(name="CamembertTokenizer", model="Unigram", special_tokens=_ROBERTA_TOKENS),
    TokenizerClass(
        name="AlbertTokenizer",
        model="Unigram",
        special_tokens={**_DEBERTA_TOKENS, "unk_token": "<unk>", "pad_token": "<pad>"},
        has_token_types=True,
    ),
    TokenizerClass(
        name="DebertaTokenizer", model="BPE", special_tokens=_DEBERTA_TOKENS, has_token_types=True
    ),
    TokenizerClass(
        name="DebertaV2Tokenizer",
        model="Unigram",
        special_tokens=_DEBERTA_TOKENS,
        has_token_types=True,
    ),
    TokenizerClass(
        name="GPT2Tokenizer",
        model="BPE",
        special_tokens=dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    ),
)
BERT_CLASSES = tuple(known.name for known in _CLASSES if known.is_bert)
"""Those that a `vocab.txt` alone is enough for."""


def find_class(name: str) -> TokenizerClass | None:
    """Returns what is known of a class, such as `RobertaTokenizerFast`, or of a `model_type`'s own.

    Example:
        >>> find_class("xlm-roberta") is find_class("XLMRobertaTokenizerFast")
        True
    """
    return _BY_STEM.get(_stem(name))


def _stem(name: str) -> str:
    """Returns what a class's name and its family's `model_type` have in common."""
    family = name.removesuffix("Fast").removesuffix("Tokenizer")
    return family.lower().replace("-", "").replace("_", "")


_BY_STEM = {_stem(known.name): known for known in _CLASSES}
