"""Tiny models for the commands that need some."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_commands import TEXTS

import limbeck
from limbeck.tokenizers.training import train_wordpiece

TAGS = {0: "B-WHO", 1: "I-WHO"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a teacher, a student and a bare encoder."""
    base = tmp_path_factory.mktemp("models")
    documents = [f"{text} {number}" for number, text in enumerate(TEXTS)]
    (base / "text.txt").write_text("\n\n".join(documents))
    tokenizer = train_wordpiece(TEXTS, vocab_size=200)
    torch.manual_seed(0)
    sizes = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    teacher = limbeck.BertConfig(num_hidden_layers=2, num_labels=2, **sizes)
    models = {
        "teacher": limbeck.BertForSequenceClassification(teacher),
        "masked": limbeck.BertForMaskedLM(teacher),
        "bare": limbeck.BertModel(teacher),
        "entities": limbeck.BertForTokenClassification(teacher.replace(id2label=TAGS)),
        "answers": limbeck.BertForQuestionAnswering(teacher),
        "choices": limbeck.BertForMultipleChoice(teacher),
    }
    for name, model in models.items():
        model.save_pretrained(base / name)
        tokenizer.save_pretrained(base / name)
    return base


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test in that folder."""
    monkeypatch.chdir(folder)
