"""A BERT small enough to train in a test."""

from __future__ import annotations

import torch

from limbeck import BertConfig, BertForMaskedLM


def make_teacher(
    vocab_size: int, *, dropout: float = 0.1, num_layers: int = 4, num_positions: int = 64
) -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=num_positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    torch.manual_seed(7)
    return BertForMaskedLM(config)
