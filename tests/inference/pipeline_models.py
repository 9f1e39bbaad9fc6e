"""Tiny models with random weights and wide scores, for the tests of pipelines."""

from __future__ import annotations

import torch

from limbeck.models import AutoModelForSequenceClassification, find_architecture
from limbeck.tokenizers import train_wordpiece

TEXTS = [
    "a gorgeous, witty, seductive movie",
    "bad",
    "It is NOT good; it is awful and far too long to be watched twice.",
    "good",
]


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
