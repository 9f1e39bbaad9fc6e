"""Training a vocabulary from a corpus: the same corpus always gives the same ids."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from os import PathLike

from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers
from tokenizers.models import BPE, Model, Unigram, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from limbeck.errors import SettingsError
from limbeck.tokenizers.backend import (
    add_missing_tokens,
    build_pipeline,
    set_bert_template,
)
from limbeck.tokenizers.classes import BERT_TOKENS, find_class
from limbeck.tokenizers.config import INPUT_NAMES, UNLIMITED_LENGTH, TokenizerConfig
from limbeck.tokenizers.counting import count_words, read_texts, repeat_words
from limbeck.tokenizers.layouts import PREFIX, Settings
from limbeck.tokenizers.matching import apply_layout
from limbeck.tokenizers.tokenizer import Tokenizer
from limbeck.tokenizers.unigram import learn_pieces

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first ids of a trained vocabulary, in this order."""

ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""Those of a byte-level or Unigram vocabulary."""

_BEFORE_BLANKS = re.compile(r"(?<=\S)(?=\s)")


def train_wordpiece(
    corpus: Iterable[str | PathLike[str]],
    *,
    vocab_size: int,
    lowercase: bool = True,
    tokenize_chinese_chars: bool = True,
    strip_accents: bool | None = None,
    min_frequency: int = 2,
    alphabet_size: int = 1000,
    model_max_length: int = UNLIMITED_LENGTH,
) -> Tokenizer:
    """Trains a WordPiece vocabulary; the corpus is read once and may be of any size.

    The vocabulary is smaller than `vocab_size` where the corpus has too few words for it.

    Args:
        corpus: Texts as str, or files as `Path`, which hold one text a line.
        vocab_size: Largest number of pieces, the five special tokens included.
        lowercase: Whether texts are lower-cased.
        tokenize_chinese_chars: Whether each CJK ideograph becomes a word.
        strip_accents: Whether accents are removed; None means as `lowercase` says.
        min_frequency: How often a piece must occur to be made from two smaller ones.
        alphabet_size: How many different characters to keep, the most frequent ones; words with
            others are unknown.
        model_max_length: Longest input of the model to come, in tokens.

    Raises:
        DataError: If the corpus has no words, or an item is neither a str nor a path.
        SettingsError: If a number is out of range, or the characters alone exceed `vocab_size`.
    """
    _require_counts(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        alphabet_size=alphabet_size,
        model_max_length=model_max_length,
    )
    empty = build_pipeline(
        {BERT_TOKENS["unk_token"]: 0},
        lowercase=lowercase,
        tokenize_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
    )
    counts = count_words(
        read_texts(corpus),
        cut=lambda text: text.split(" "),  # which parts words whatever the settings
        find_words=partial(_find_words, empty),
    )
    characters, inside = _choose_alphabet(counts, size=alphabet_size)
    pieces = [*SPECIAL_TOKENS, *characters, *(PREFIX + character for character in inside)]
    if len(pieces) > vocab_size:
        raise SettingsError(
            f"vocab_size={vocab_size} is too small: the special tokens and the characters of the "
            f"corpus take {len(pieces)}. Use a larger vocab_size, or a smaller alphabet_size "
            f"(now {alphabet_size})."
        )
    vocab = _merge(counts, pieces, vocab_size=vocab_size, min_frequency=min_frequency)
    backend = build_pipeline(
        vocab,
        lowercase=lowercase,
        tokenize_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
    )
    add_missing_tokens(backend, dict.fromkeys(SPECIAL_TOKENS))
    set_bert_template(backend, BERT_TOKENS)
    return Tokenizer(backend, TokenizerConfig(model_max_length=model_max_length))


def train_bpe(
    corpus: Iterable[str | PathLike[str]],
    *,
    vocab_size: int,
    add_prefix_space: bool = False,
    min_frequency: int = 2,
    model_max_length: int = UNLIMITED_LENGTH,
) -> Tokenizer:
    """Trains a byte-level BPE vocabulary with RoBERTa's special tokens; nothing is unknown to it.

    The corpus is read once and may be of any size. The vocabulary is smaller than `vocab_size`
    where it has too few words for it.

    Args:
        corpus: Texts as str, or files as `Path`, which hold one text a line.
        vocab_size: Largest number of pieces, the 256 bytes and five special tokens included.
        add_prefix_space: Whether a text's first word is read as if a blank stood before it.
        min_frequency: How often a piece must occur to be made from two smaller ones.
        model_max_length: Longest input of the model to come, in tokens.

    Raises:
        DataError: If the corpus has no words, or an item is neither a str nor a path.
        SettingsError: If a number is out of range, or the bytes alone exceed `vocab_size`.

    Example:
        >>> tokenizer = train_bpe(["to be or not to be"], vocab_size=264)
        >>> tokenizer.tokenize("to be")
        ['to', 'Ġbe']
    """
    _require_counts(
        vocab_size=vocab_size, min_frequency=min_frequency, model_max_length=model_max_length
    )
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    least = len(ROBERTA_TOKENS) + len(splitter.alphabet())
    if vocab_size < least:
        raise SettingsError(
            f"vocab_size={vocab_size} is too small: the special tokens and the 256 bytes take "
            f"{least}."
        )
    counts = count_words(
        read_texts(corpus),
        cut=_BEFORE_BLANKS.split,
        find_words=lambda text: [word for word, _ in splitter.pre_tokenize_str(text)],
    )
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=list(ROBERTA_TOKENS),
        initial_alphabet=splitter.alphabet(),
    )
    trained = Backend(BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trained.train_from_iterator(repeat_words(counts), trainer)
    content = json.loads(trained.model.__getstate__())
    merges = [(left, right) for left, right in content["merges"]]
    model = BPE(content["vocab"], merges, continuing_subword_prefix="", end_of_word_suffix="")
    settings = {"add_prefix_space": add_prefix_space, "trim_offsets": True}
    return _make("RobertaTokenizer", model, settings, model_max_length=model_max_length)


def train_unigram(
    corpus: Iterable[str | PathLike[str]],
    *,
    vocab_size: int,
    min_frequency: int = 2,
    alphabet_size: int = 1000,
    model_max_length: int = UNLIMITED_LENGTH,
) -> Tokenizer:
    """Trains a Unigram vocabulary with XLM-R's special tokens; the corpus is read once.

    Of more than 200,000 different words the most frequent ones decide. The vocabulary is smaller
    than `vocab_size` where the corpus has too few parts of words for it.

    Args:
        corpus: Texts as str, or files as `Path`, which hold one text a line.
        vocab_size: Largest number of pieces, the five special tokens included.
        min_frequency: How often a piece of several characters must occur.
        alphabet_size: How many different characters to keep, the most frequent ones; others are
            unknown.
        model_max_length: Longest input of the model to come, in tokens.

    Raises:
        DataError: If the corpus has no words, or an item is neither a str nor a path.
        SettingsError: If a number is out of range, or the characters alone exceed `vocab_size`.

    Example:
        >>> tokenizer = train_unigram(["to be or not to be"] * 9, vocab_size=20)
        >>> tokenizer.tokenize("to be")
        ['▁to', '▁be']
    """
    _require_counts(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        alphabet_size=alphabet_size,
        model_max_length=model_max_length,
    )
    marks = pre_tokenizers.Metaspace()
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marks])
    counts = count_words(
        read_texts(corpus),
        cut=lambda text: text.split(" "),
        find_words=lambda text: [word for word, _ in splitter.pre_tokenize_str(text)],
    )
    characters, _ = _choose_alphabet(counts, size=alphabet_size)
    room = vocab_size - len(ROBERTA_TOKENS)
    if len(characters) > room:
        raise SettingsError(
            f"vocab_size={vocab_size} is too small: the special tokens and the characters of the "
            f"corpus take {vocab_size - room + len(characters)}. Use a larger vocab_size, or a "
            f"smaller alphabet_size (now {alphabet_size})."
        )
    scores = learn_pieces(
        counts, num_pieces=room, characters=characters, min_frequency=min_frequency
    )
    special = [(token, 0.0) for token in ROBERTA_TOKENS]
    # <mask> comes last, as in XLM-R.
    model = Unigram([*special[:-1], *scores.items(), special[-1]], unk_id=3)
    settings = {"add_prefix_space": True}
    return _make("XLMRobertaTokenizer", model, settings, model_max_length=model_max_length)


def _make(name: str, model: Model, settings: Settings, *, model_max_length: int) -> Tokenizer:
    """Makes a tokenizer of a class over a vocabulary."""
    known = find_class(name)
    assert known is not None
    backend = Backend(model)
    add_missing_tokens(backend, dict.fromkeys(known.special_tokens.values()))
    apply_layout(backend, known, settings, known.special_tokens)
    names = [n for n in INPUT_NAMES if known.has_token_types or n != "token_type_ids"]
    config = TokenizerConfig(
        tokenizer_class=name,
        model_input_names=tuple(names),
        model_max_length=model_max_length,
        special_tokens=known.special_tokens,
    )
    return Tokenizer(backend, config)


def _require_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(f"{name} is {value!r}; accepted: a whole number of at least 1.")


def _find_words(backend: Backend, text: str) -> list[str]:
    """Returns the words of a text as a pipeline splits it."""
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    assert normalizer is not None
    assert splitter is not None
    return [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]


def _choose_alphabet(counts: Counter[str], *, size: int) -> tuple[list[str], list[str]]:
    """Returns the most frequent characters, and those of them that also occur inside words."""
    characters: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
        inside.update(word[1:])
    ranked = sorted(characters, key=lambda character: (-characters[character], character))
    kept = sorted(ranked[:size])
    return kept, [character for character in kept if character in inside]


def _merge(
    counts: Counter[str], pieces: Sequence[str], *, vocab_size: int, min_frequency: int
) -> dict[str, int]:
    """Lets the library's trainer make longer pieces out of the given ones.

    Left alone, the trainer numbers the characters in the order of a randomly seeded hash table, and
    breaks ties by those numbers, so that two runs differ. Given all of them as special
    tokens, in our order, it is deterministic.
    """
    characters = [piece for piece in pieces if len(piece) == 1]
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=list(pieces),
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        continuing_subword_prefix=PREFIX,
    )
    backend = Backend(WordPiece(unk_token=BERT_TOKENS["unk_token"]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.train_from_iterator(repeat_words(counts), trainer)
    return backend.get_vocab()
