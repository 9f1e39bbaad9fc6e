"""A tiny teacher with a vocabulary of its own, and a corpus made with it; all real, all small."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tiny_teacher import make_causal_teacher, make_causal_tokenizer, make_teacher

from limbeck import Tokenizer
from limbeck.data import CorpusSettings, build_corpus
from limbeck.tokenizers import train_wordpiece

WORDS = [
    "the",
    "a",
    "small",
    "still",
    "turns",
    "grain",
    "into",
    "spirit",
    "and",
    "water",
    "slowly",
    "while",
    "fire",
    "under",
    "copper",
    "keeps",
    "steady",
    "heat",
    "distilling",
    "what",
    "was",
    "large",
    "to",
    "something",
    "clear",
    "strong",
    "bright",
    "old",
    "new",
    "river",
    "stone",
    "winter",
    "summer",
    "reading",
    "writing",
    "unreadable",
    "rewritten",
    "walked",
    "walking",
    "talked",
    "talking",
]


def write_text(path: Path, *, num_documents: int = 120) -> Path:
    source = random.Random(0)
    documents = [
        " ".join(source.choices(WORDS, k=source.randint(5, 60))) for _ in range(num_documents)
    ]
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="session")
def tokenizer(text: Path) -> Tokenizer:
    return train_wordpiece([text], vocab_size=90, lowercase=True)


@pytest.fixture(scope="session")
def corpus_folder(
    text: Path, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    build_corpus(
        [text], tokenizer=tokenizer, out=folder, settings=CorpusSettings(heldout_ratio=0.2)
    )
    return folder


@pytest.fixture(scope="session")
def teacher_folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    make_teacher(tokenizer.vocab_size).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sober_teacher_folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, so that two implementations can be compared step by step."""
    folder = tmp_path_factory.mktemp("sober-teacher")
    make_teacher(tokenizer.vocab_size, dropout=0.0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def causal_tokenizer(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Byte-level BPE as GPT-2's: one special token, which ends documents, and no frame."""
    return make_causal_tokenizer(text, tmp_path_factory.mktemp("causal-tokenizer"))


@pytest.fixture(scope="session")
def causal_corpus_folder(
    text: Path, causal_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("causal-corpus") / "corpus"
    build_corpus(
        [text], tokenizer=causal_tokenizer, out=folder, settings=CorpusSettings(heldout_ratio=0.2)
    )
    return folder


@pytest.fixture(scope="session")
def causal_teacher_folder(
    causal_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("causal-teacher")
    make_causal_teacher(causal_tokenizer.vocab_size).save_pretrained(folder)
    causal_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sober_causal_teacher_folder(
    causal_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("sober-causal-teacher")
    make_causal_teacher(causal_tokenizer.vocab_size, dropout=0.0).save_pretrained(folder)
    causal_tokenizer.save_pretrained(folder)
    return folder
