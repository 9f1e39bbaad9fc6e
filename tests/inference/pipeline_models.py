"""Tiny models with random weights and wide scores, and answers compared, for tests of pipelines."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
import torch

from limbeck.models import AutoModelForSequenceClassification, find_architecture
from limbeck.tokenizers import train_wordpiece

TOLERANCE = 1e-5
TEXTS = [
    "a gorgeous, witty, seductive movie",
    "bad",
    "It is NOT good; it is awful and far too long to be watched twice.",
    "good",
]

SLOWLY_WRITTEN = ("executorch", "litert", "coreml")
"""Engines, and targets without one, whose exporters take 5 to 30 s of a processor for a tiny model:
one or two are tried, and all families and kinds where it is asked for."""
EVERY_EXPORT = os.environ.get("LIMBECK_EVERY_EXPORT") == "1"


def require_packages(target):
    """Skips a test whose target has a package that is not installed."""
    for package in target.packages:
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            pytest.skip(f"{package} is not installed; scripts/install.py --dev tells why")


def write_model(
    folder,
    *,
    auto_model=AutoModelForSequenceClassification,
    model_type="bert",
    texts=None,
    **changes,
):
    """Writes a model and a tokenizer into a folder; `changes` go into the configuration."""
    torch.manual_seed(changes.pop("seed", 1))
    texts = TEXTS if texts is None else texts
    tokenizer = train_wordpiece(texts, vocab_size=120, min_frequency=1)
    labels = changes.pop("labels", ("NEGATIVE", "NEUTRAL", "POSITIVE"))
    config = find_architecture(model_type).config_type()
    config = config.replace(
        **{
            "vocab_size": tokenizer.vocab_size,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            **config.tiny_values,
            "pad_token_id": tokenizer.pad_token_id,
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            **changes,
        }
    )
    model = auto_model.from_config(config)
    model.save_pretrained(folder)
    if model.encoder.embeddings.token_type is None:
        tokenizer = tokenizer.without_token_types()
    tokenizer.save_pretrained(folder)
    return folder


def assert_same(ours, theirs):
    """Compares answers: the same shape, keys, words and places, and numbers within 1e-5."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, list):
        assert isinstance(ours, list)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, torch.Tensor):
        torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)
    elif isinstance(theirs, float | np.floating):
        assert ours == pytest.approx(float(theirs), abs=TOLERANCE, rel=TOLERANCE)
    else:
        assert ours == theirs
