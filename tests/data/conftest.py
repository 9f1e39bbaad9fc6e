"""A small tokenizer of the text at hand, and corpora made with it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.tokenizers import Tokenizer, train_wordpiece

SENTENCES = [
    "A limbeck is a still; it takes a large encoder and gives back a small one.",
    "The student learns what the teacher says of every masked word.",
    "Unbelievable, uncharacteristically long words fall into several pieces!",
    "Rows are packed to full length across the ends of documents.",
    "Distillation kept most of the quality, and halved the time.",
    "Whisky, brandy and perfume come out of copper stills drop by drop.",
    "Numbers such as 1839, 3.14 and 30,522 occur in running text.",
    "Naïve café owners resist 東京 and other words without blanks.",
]

MakeCorpus = Callable[..., Corpus]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """40 documents of one to several sentences, all different."""
    return [
        f"Document {i}. " + " ".join(itertools.islice(itertools.cycle(SENTENCES), i, i + 1 + i % 5))
        for i in range(40)
    ]


@pytest.fixture(scope="session")
def tokenizer(texts: list[str]) -> Tokenizer:
    return train_wordpiece(texts[:24], vocab_size=220, min_frequency=1)


@pytest.fixture(scope="session")
def other_tokenizer(texts: list[str]) -> Tokenizer:
    return train_wordpiece(texts[:24], vocab_size=180, min_frequency=1)


def write_jsonl(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


@pytest.fixture(scope="session")
def make_corpus(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> MakeCorpus:
    """Builds a corpus of documents with the given settings."""

    def make(texts: Sequence[str], **settings: object) -> Corpus:
        folder = tmp_path_factory.mktemp("corpus")
        source = write_jsonl(folder / "texts.jsonl", texts)
        values = {"heldout_ratio": 0.0, "shard_tokens": 97} | settings
        out = folder / "out"
        chosen = CorpusSettings.from_values(values)
        build_corpus([source], tokenizer=tokenizer, out=out, settings=chosen)
        return Corpus.open(out)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus: MakeCorpus, texts: list[str]) -> Corpus:
    """All documents, a fifth held out, in many small shards."""
    return make_corpus(texts, heldout_ratio=0.2)
