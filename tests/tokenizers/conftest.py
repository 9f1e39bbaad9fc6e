"""Small tokenizer folders of every kind, ours and the oracle's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizer_cases import KINDS, TEXTS

from limbeck.tokenizers import Tokenizer, train_wordpiece


@pytest.fixture(scope="session")
def vocab_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary that knows most characters of the nasty strings, cased and with accents."""
    texts = [*TEXTS.values(), *(text.lower() for text in TEXTS.values())] * 2
    tokenizer = train_wordpiece(texts, vocab_size=1600, lowercase=False)
    folder = tmp_path_factory.mktemp("trained")
    tokenizer.save_pretrained(folder)
    return folder / "vocab.txt"


@pytest.fixture(scope="session")
def make_folder(vocab_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Returns a function that writes a folder with vocab.txt and a tokenizer_config.json."""

    def make(values: dict[str, Any] | None) -> Path:
        folder = tmp_path_factory.mktemp("tokenizer")
        (folder / "vocab.txt").write_bytes(vocab_path.read_bytes())
        if values is not None:
            (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def folders(make_folder: Any) -> dict[str, Path]:
    """A folder of every kind."""
    return {name: make_folder(values) for name, values in KINDS.items()}


@pytest.fixture(scope="session")
def tokenizers_of(folders: dict[str, Path]) -> dict[str, tuple[Tokenizer, Any]]:
    """Our tokenizer and the oracle's, of every kind."""
    from transformers import AutoTokenizer

    return {
        name: (Tokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
        for name, folder in folders.items()
    }


@pytest.fixture(scope="session")
def tokenizer(tokenizers_of: dict[str, tuple[Tokenizer, Any]]) -> Tokenizer:
    """Our uncased tokenizer."""
    return tokenizers_of["uncased"][0]
