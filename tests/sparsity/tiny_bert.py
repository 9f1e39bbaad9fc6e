"""A BERT of one layer in float64, and a loss of it."""

from __future__ import annotations

import torch

from limbeck import BertConfig, BertForSequenceClassification
from limbeck.sparsity import MaskedLinear


def make_model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=8,
        initializer_range=0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config).double().train()


def make_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 30, (4, 6), generator=generator)
    return {"input_ids": ids, "labels": torch.tensor([0, 1, 1, 0])}


def masked_layers(model):
    return [module for module in model.modules() if isinstance(module, MaskedLinear)]


def linear_layers(model):
    """Those of the encoder's layers, of a plain model, in the same order."""
    return [m for m in model.encoder.layers.modules() if isinstance(m, torch.nn.Linear)]
