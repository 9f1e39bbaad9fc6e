"""Tokenizers of each family of `transformers`, over vocabularies trained on the nasty strings."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizer_cases import TEXTS
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE, Unigram

CORPUS = [*TEXTS.values(), *(text.lower() for text in TEXTS.values())] * 3
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("albert", {}),
    "albert, cased": ("albert", {"do_lower_case": False, "keep_accents": True}),
    "camembert": ("camembert", {}),
    "deberta": ("deberta", {}),
    "deberta-v2": ("deberta-v2", {}),
    "deberta-v2, split": ("deberta-v2", {"do_lower_case": True, "split_by_punct": True}),
    "gpt2": ("gpt2", {}),
    "gpt2, prefixed": ("gpt2", {"add_prefix_space": True}),
    "modernbert": ("modernbert", {}),
    "mpnet": ("mpnet", {}),
    "mpnet, cased": ("mpnet", {"do_lower_case": False}),
    "roberta": ("roberta", {}),
    "roberta, prefixed": ("roberta", {"add_prefix_space": True, "trim_offsets": False}),
    "xlm-roberta": ("xlm-roberta", {}),
    "xlm-roberta, bare": ("xlm-roberta", {"add_prefix_space": False}),
}
"""Name of a case -> the `model_type` and what is said to its tokenizer's class."""


@cache
def train_bpe(first: tuple[str, ...]) -> dict[str, Any]:
    """Returns pieces and merges of a byte-level vocabulary that begins with special tokens."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=list(first),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    model = backend.model
    content = __import__("json").loads(backend.to_str())["model"]
    assert isinstance(model, BPE)
    return {"vocab": content["vocab"], "merges": [tuple(pair) for pair in content["merges"]]}


@cache
def train_unigram(first: tuple[str, ...]) -> list[tuple[str, float]]:
    """Returns pieces and scores, special tokens first and at 0."""
    backend = Tokenizer(Unigram())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(vocab_size=900, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    content = __import__("json").loads(backend.to_str())["model"]
    pieces = [(piece, score) for piece, score in content["vocab"] if piece not in first]
    return [*((token, 0.0) for token in first), *pieces]


def make_oracle(family: str, **options: Any) -> Any:
    """Makes the tokenizer of a family with `transformers`' own class."""
    import transformers

    roberta = ("<s>", "<pad>", "</s>", "<unk>")
    match family:
        case "roberta":
            given = train_bpe((*roberta, "<mask>"))
            return transformers.RobertaTokenizer(**given, **options)
        case "deberta":
            given = train_bpe(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"))
            return transformers.DebertaTokenizer(**given, **options)
        case "gpt2":
            return transformers.GPT2Tokenizer(**train_bpe(("<|endoftext|>",)), **options)
        case "albert":
            vocab = train_unigram(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))
            return transformers.AlbertTokenizer(vocab=vocab, **options)
        case "xlm-roberta":
            vocab = [*train_unigram(roberta), ("<mask>", 0.0)]
            return transformers.XLMRobertaTokenizer(vocab=vocab, **options)
        case "camembert":
            first = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
            vocab = [*train_unigram(first), ("<mask>", 0.0)]
            return transformers.CamembertTokenizer(vocab=vocab, **options)
        case "deberta-v2":
            vocab = train_unigram(("[PAD]", "[CLS]", "[SEP]", "[UNK]"))
            vocab = [*vocab, ("[MASK]", 0.0)]
            return transformers.DebertaV2Tokenizer(vocab=vocab, unk_id=3, **options)
        case "modernbert":
            return _make_modernbert(**options)
        case "mpnet":
            words = ["<s>", "<pad>", "</s>", "[UNK]", "the", "quick", "fox", "##es", "a", "b"]
            vocab = {word: index for index, word in enumerate([*words, "<mask>"])}
            return transformers.MPNetTokenizer(vocab=vocab, **options)
    raise ValueError(family)


def _make_modernbert(**options: Any) -> Any:
    """Makes a generic byte-level tokenizer with BERT's frame, as ModernBERT's folders hold one."""
    from tokenizers import decoders, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    backend = Tokenizer(BPE(**train_bpe(tuple(special))))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    roles = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    named = dict(zip(roles, ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named, **options)
