"""Training a WordPiece vocabulary from a corpus: the same corpus always gives the same ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer

from limbeck.errors import DataError, SettingsError
from limbeck.tokenizers.backend import (
    add_missing_tokens,
    build_pipeline,
    set_bert_template,
)
from limbeck.tokenizers.classes import BERT_TOKENS
from limbeck.tokenizers.config import UNLIMITED_LENGTH, TokenizerConfig
from limbeck.tokenizers.layouts import MAX_WORD_LENGTH, PREFIX
from limbeck.tokenizers.texts import find_surrogate
from limbeck.tokenizers.tokenizer import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first ids of a trained vocabulary, in this order."""

_FOLD_AT = 500_000
_CHUNK_LENGTH = 100_000


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
    for name, value in (
        ("vocab_size", vocab_size),
        ("min_frequency", min_frequency),
        ("alphabet_size", alphabet_size),
        ("model_max_length", model_max_length),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(f"{name} is {value!r}; accepted: a whole number of at least 1.")
    empty = build_pipeline(
        {BERT_TOKENS["unk_token"]: 0},
        lowercase=lowercase,
        tokenize_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
    )
    counts = _count_words(_read_texts(corpus), empty)
    if not counts:
        raise DataError("the corpus to train a vocabulary from has no words; give it some text.")
    pieces = [*SPECIAL_TOKENS, *_choose_alphabet(counts, size=alphabet_size)]
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


def _read_texts(corpus: Iterable[str | PathLike[str]]) -> Iterator[str]:
    if isinstance(corpus, (str, PathLike)):
        raise DataError(
            f"corpus is a single {type(corpus).__name__}; give a list of texts, or a list of "
            "pathlib.Path for files."
        )
    for index, item in enumerate(corpus):
        if isinstance(item, str):
            if (problem := find_surrogate(item)) is not None:
                raise DataError(f"text {index} of the corpus {problem}")
            yield item
        elif isinstance(item, PathLike):
            yield from _read_lines(Path(item))
        else:
            raise DataError(
                f"item {index} of the corpus is {item!r} ({type(item).__name__}); accepted: a "
                "text as str, or a file as pathlib.Path."
            )


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line.decode("utf-8")
                except UnicodeDecodeError:
                    raise DataError(
                        f"{path}, line {number} is not UTF-8; convert the file to UTF-8 first."
                    ) from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error


def _count_words(texts: Iterable[str], backend: Backend) -> Counter[str]:
    """Counts the words of a corpus after normalisation."""
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    assert normalizer is not None
    assert splitter is not None
    words: Counter[str] = Counter()
    raw: Counter[str] = Counter()

    # Normalising each different string once, not each text, is what makes this fast; a blank
    # parts words whatever the settings, so the result is the same.
    def fold() -> None:
        for string, count in raw.items():
            for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(string)):
                # The model calls longer words unknown without looking at them.
                if len(word) <= MAX_WORD_LENGTH:
                    words[word] += count
        raw.clear()

    for text in texts:
        raw.update(text.split(" "))
        if len(raw) >= _FOLD_AT:
            fold()
    fold()
    return words


def _choose_alphabet(counts: Counter[str], *, size: int) -> list[str]:
    """Returns the most frequent characters, then those that also occur inside words with `##`."""
    characters: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
        inside.update(word[1:])
    ranked = sorted(characters, key=lambda character: (-characters[character], character))
    kept = sorted(ranked[:size])
    return kept + [PREFIX + character for character in kept if character in inside]


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
    backend.train_from_iterator(_repeat(counts), trainer)
    return backend.get_vocab()


def _repeat(counts: Counter[str]) -> Iterator[str]:
    """Yields texts in which every word occurs as often as it was counted."""
    chunk: list[str] = []
    for word in sorted(counts):
        left = counts[word]
        while left:
            share = min(left, _CHUNK_LENGTH - len(chunk))
            chunk += [word] * share
            left -= share
            if len(chunk) == _CHUNK_LENGTH:
                yield " ".join(chunk)
                chunk = []
    yield " ".join(chunk)
