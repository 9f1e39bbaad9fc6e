"""Blocks that families build alike: BERT's embeddings, layer and pooler."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from limbeck.models._kinds import Kind
from limbeck.nn import (
    Embeddings,
    EncoderLayer,
    FeedForward,
    FirstTokenPooler,
    SelfAttention,
    build_activation,
)


class BertLike(Protocol):
    """A configuration that has what these blocks need, by BERT's names."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def pad_token_id(self) -> int | None: ...
    @property
    def max_position_embeddings(self) -> int: ...
    @property
    def reserved_positions(self) -> int | None: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_attention_heads(self) -> int: ...
    @property
    def head_size(self) -> int: ...
    @property
    def intermediate_size(self) -> int: ...
    @property
    def hidden_act(self) -> str: ...
    @property
    def hidden_dropout_prob(self) -> float: ...
    @property
    def attention_probs_dropout_prob(self) -> float: ...
    @property
    def layer_norm_eps(self) -> float: ...


def build_embeddings(
    config: BertLike, *, size: int, num_types: int, has_positions: bool = True
) -> Embeddings:
    """Composes embeddings of a width; none for token types where there are none."""
    position = nn.Embedding(config.max_position_embeddings, size) if has_positions else None
    return Embeddings(
        word=nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id),
        position=position,
        token_type=nn.Embedding(num_types, size) if num_types else None,
        norm=nn.LayerNorm(size, eps=config.layer_norm_eps),
        dropout=nn.Dropout(config.hidden_dropout_prob),
        first_position=config.reserved_positions or 0,
    )


def build_layer(config: BertLike, **attention: Any) -> EncoderLayer:
    """Composes a layer; `attention` is what a family's has beside what all have."""
    size = config.hidden_size
    return EncoderLayer(
        attention=SelfAttention(
            size,
            num_heads=config.num_attention_heads,
            head_size=config.head_size,
            dropout=config.attention_probs_dropout_prob,
            **attention,
        ),
        attention_dropout=nn.Dropout(config.hidden_dropout_prob),
        attention_norm=nn.LayerNorm(size, eps=config.layer_norm_eps),
        feed_forward=FeedForward(
            size,
            intermediate_size=config.intermediate_size,
            activation=build_activation(config.hidden_act),
        ),
        feed_forward_dropout=nn.Dropout(config.hidden_dropout_prob),
        feed_forward_norm=nn.LayerNorm(size, eps=config.layer_norm_eps),
    )


def build_pooler(config: BertLike, kind: Kind) -> FirstTokenPooler | None:
    """Composes the pooler, where one vector a sequence is read."""
    if not kind.reads_sequence:
        return None
    return FirstTokenPooler(
        dense=nn.Linear(config.hidden_size, config.hidden_size), activation=nn.Tanh()
    )
