"""What is known of the tokenizer classes that `tokenizer_config.json` names.

A folder whose class is not here, as that of a new family may be, is read by its files alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from limbeck.tokenizers import layouts
from limbeck.tokenizers.layouts import Layout

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

GENERIC_CLASSES = (GENERIC, "TokenizersBackend")
"""Its names."""

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
        lay_out: How it makes a pipeline.
        settings: The settings of that in `tokenizer_config.json`, each with what it may be; the
            first is the default.
        has_token_types: Whether a call gives token types.
        unk_id: Where it takes the unknown piece of a Unigram vocabulary to be; None where it is
            found by its spelling.
        takes_any_frame: Whether texts are framed as `tokenizer.json` says, not as the class does.
        pieces: Further tokens, which it adds to a vocabulary that lacks them.
    """

    name: str
    model: str
    special_tokens: Mapping[str, str]
    lay_out: Layout
    settings: Mapping[str, tuple[bool | None, ...]]
    has_token_types: bool = False
    unk_id: int | None = None
    takes_any_frame: bool = False
    pieces: tuple[str, ...] = ()

    @property
    def default_settings(self) -> dict[str, bool | None]:
        """What `transformers` takes where the file doesn't say."""
        return {key: values[0] for key, values in self.settings.items()}

    @property
    def is_bert(self) -> bool:
        """Whether it is BERT's, under whatever name."""
        return self.lay_out is layouts.lay_out_bert


_YES, _NO = (True, False), (False, True)
_BERT_SETTINGS = {
    "do_lower_case": _YES,
    "tokenize_chinese_chars": _YES,
    "strip_accents": (None, True, False),
}
_PREFIX_SPACE = {"add_prefix_space": _NO}
_PREFIX_MARK = {"add_prefix_space": _YES}


def _describe_bert(name: str, *, has_token_types: bool = True) -> TokenizerClass:
    return TokenizerClass(
        name=name,
        model="WordPiece",
        special_tokens=BERT_TOKENS,
        lay_out=layouts.lay_out_bert,
        settings=_BERT_SETTINGS,
        has_token_types=has_token_types,
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
        lay_out=layouts.lay_out_mpnet,
        settings=_BERT_SETTINGS,
    ),
    TokenizerClass(
        name="RobertaTokenizer",
        model="BPE",
        special_tokens=_ROBERTA_TOKENS,
        lay_out=layouts.lay_out_roberta,
        settings={**_PREFIX_SPACE, "trim_offsets": _YES},
    ),
    TokenizerClass(
        name="DebertaTokenizer",
        model="BPE",
        special_tokens=_DEBERTA_TOKENS,
        lay_out=layouts.lay_out_deberta,
        settings=_PREFIX_SPACE,
        has_token_types=True,
    ),
    TokenizerClass(
        name="GPT2Tokenizer",
        model="BPE",
        special_tokens=dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
        lay_out=layouts.lay_out_gpt2,
        settings=_PREFIX_SPACE,
        takes_any_frame=True,
    ),
    TokenizerClass(
        name="XLMRobertaTokenizer",
        model="Unigram",
        unk_id=3,
        special_tokens=_ROBERTA_TOKENS,
        lay_out=layouts.lay_out_xlm_roberta,
        settings=_PREFIX_MARK,
    ),
    TokenizerClass(
        name="CamembertTokenizer",
        model="Unigram",
        special_tokens=_ROBERTA_TOKENS,
        lay_out=layouts.lay_out_xlm_roberta,
        settings=_PREFIX_MARK,
        pieces=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
    ),
    TokenizerClass(
        name="AlbertTokenizer",
        model="Unigram",
        unk_id=1,
        special_tokens={**_DEBERTA_TOKENS, "unk_token": "<unk>", "pad_token": "<pad>"},
        lay_out=layouts.lay_out_albert,
        settings={"do_lower_case": _YES, "keep_accents": _NO, **_PREFIX_MARK},
        has_token_types=True,
        takes_any_frame=True,
    ),
    TokenizerClass(
        name="DebertaV2Tokenizer",
        model="Unigram",
        special_tokens=_DEBERTA_TOKENS,
        lay_out=layouts.lay_out_deberta_v2,
        settings={"do_lower_case": _NO, "split_by_punct": _NO, **_PREFIX_MARK},
        has_token_types=True,
    ),
)


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


def names_of_kind(model: str) -> list[str]:
    """Returns the classes whose vocabularies are of a kind, for messages."""
    return [known.name for known in _CLASSES if known.model == model]
