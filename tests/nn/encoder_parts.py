"""Small encoders for the tests of blocks."""

from __future__ import annotations

import torch
from torch import nn

from limbeck.nn import Embeddings, EncoderLayer, FeedForward, SelfAttention

SIZE = 16
EXACT = {"rtol": 0.0, "atol": 1e-9}
COLLECT = {"hidden_states", "attentions"}


def build_embeddings(size=SIZE, *, num_positions=40, token_types=2, eps=1e-3):
    return Embeddings(
        word=nn.Embedding(50, size),
        position=nn.Embedding(num_positions, size) if num_positions else None,
        token_type=nn.Embedding(token_types, size) if token_types else None,
        norm=nn.LayerNorm(size, eps=eps),
        dropout=nn.Identity(),
    )


def build_layer(
    layer_type=EncoderLayer,
    *,
    num_heads=4,
    head_size=None,
    width=24,
    activation=None,
    **attention,
):
    return layer_type(
        attention=SelfAttention(
            SIZE, num_heads=num_heads, dropout=0.0, head_size=head_size, **attention
        ),
        attention_dropout=nn.Identity(),
        attention_norm=nn.LayerNorm(SIZE, eps=1e-3),
        feed_forward=FeedForward(SIZE, intermediate_size=width, activation=activation or nn.GELU()),
        feed_forward_dropout=nn.Identity(),
        feed_forward_norm=nn.LayerNorm(SIZE, eps=1e-3),
    )


def drawn(module: nn.Module) -> nn.Module:
    """In float64, with weights, biases and norms drawn wide, so that nothing is lost in them."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


def make_batch(rows=3, length=11):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 50, (rows, length), generator=generator)
    mask = (torch.arange(length) < torch.tensor([[length], [4], [8]])[:rows]).long()
    return ids, mask
