"""DistilBERT: BERT's blocks without token types and pooler, half as many.

Source: Sanh et al. 2019, https://arxiv.org/abs/1910.01108.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._classes import make_classes
from limbeck.models._config import ModelConfig
from limbeck.models._heads import build_masked_lm_head, build_score_head
from limbeck.models._kinds import (
    MASKED_LM,
    MULTIPLE_CHOICE,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Kind,
)
from limbeck.models._names import NameTable
from limbeck.nn import (
    Embeddings,
    Encoder,
    EncoderLayer,
    FeedForward,
    SelfAttention,
    build_activation,
    sinusoidal_positions,
)

LAYER_NORM_EPS = 1e-12  # not a setting in this family


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig(ModelConfig):
    """DistilBERT-base, unless told otherwise."""

    model_type: ClassVar[str] = "distilbert"
    common_names: ClassVar = {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    }
    fixed_values: ClassVar = {"pruned_heads": ({}, None)}

    dim: int = fields.size(768)
    n_layers: int = fields.size(6)
    n_heads: int = fields.size(12)
    hidden_dim: int = fields.size(3072)
    activation: str = fields.activation("gelu")
    dropout: float = fields.rate(0.1)
    attention_dropout: float = fields.rate(0.1)
    qa_dropout: float = fields.rate(0.1)
    seq_classif_dropout: float = fields.rate(0.2)
    sinusoidal_pos_embds: bool = fields.flag(default=False)
    """Whether new position embeddings start as sines and cosines."""

    @property
    def hidden_size(self) -> int:
        """`dim`."""
        return self.dim

    @property
    def num_hidden_layers(self) -> int:
        """`n_layers`."""
        return self.n_layers

    @property
    def num_attention_heads(self) -> int:
        """`n_heads`."""
        return self.n_heads

    @property
    def intermediate_size(self) -> int:
        """`hidden_dim`."""
        return self.hidden_dim


def build_encoder(config: DistilBertConfig) -> Encoder:
    """Composes the embeddings and the layers."""
    return Encoder(
        embeddings=_build_embeddings(config),
        layers=[build_layer(config) for _ in range(config.n_layers)],
    )


def build_layer(config: DistilBertConfig) -> EncoderLayer:
    """Composes one layer; in this family they are all alike."""
    return EncoderLayer(
        attention=SelfAttention(
            config.dim,
            num_heads=config.n_heads,
            head_size=config.head_size,
            dropout=config.attention_dropout,
        ),
        # The article says nothing of it, but the released code has no dropout in this place.
        attention_dropout=nn.Identity(),
        attention_norm=nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS),
        feed_forward=FeedForward(
            config.dim,
            intermediate_size=config.hidden_dim,
            activation=build_activation(config.activation),
        ),
        feed_forward_dropout=nn.Dropout(config.dropout),
        feed_forward_norm=nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS),
    )


def build_head(config: DistilBertConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        return build_masked_lm_head(config, activation=config.activation, eps=LAYER_NORM_EPS)
    if kind is QUESTION_ANSWERING:
        return build_score_head(config, kind=kind, dropout=config.qa_dropout)
    if kind is TOKEN_CLASSIFICATION:
        return build_score_head(config, kind=kind, dropout=config.dropout)
    return build_score_head(
        config,
        kind=kind,
        dense=nn.Linear(config.dim, config.dim),
        activation=nn.ReLU(),
        dropout=config.seq_classif_dropout,
    )


def set_sinusoidal_positions(config: DistilBertConfig, part: nn.Module) -> None:
    """Replaces new position embeddings by sines and cosines where the configuration asks for it."""
    position = part.embeddings.position if isinstance(part, Encoder) else None
    if config.sinusoidal_pos_embds and position is not None:
        with torch.no_grad():
            position.weight.copy_(
                sinusoidal_positions(position.num_embeddings, position.embedding_dim)
            )


def _build_embeddings(config: DistilBertConfig) -> Embeddings:
    return Embeddings(
        word=nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id),
        position=nn.Embedding(config.max_position_embeddings, config.dim),
        token_type=None,
        norm=nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS),
        dropout=nn.Dropout(config.dropout),
    )


_CLASSIFIER = {"head.dense": "pre_classifier", "head.output": "classifier"}
NAMES = NameTable(
    prefix="distilbert",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.word_projection",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        "encoder.layers.{i}.attention.query": "transformer.layer.{i}.attention.q_lin",
        "encoder.layers.{i}.attention.key": "transformer.layer.{i}.attention.k_lin",
        "encoder.layers.{i}.attention.value": "transformer.layer.{i}.attention.v_lin",
        "encoder.layers.{i}.attention.output": "transformer.layer.{i}.attention.out_lin",
        "encoder.layers.{i}.attention_norm": "transformer.layer.{i}.sa_layer_norm",
        "encoder.layers.{i}.feed_forward.up": "transformer.layer.{i}.ffn.lin1",
        "encoder.layers.{i}.feed_forward.down": "transformer.layer.{i}.ffn.lin2",
        "encoder.layers.{i}.feed_forward_norm": "transformer.layer.{i}.output_layer_norm",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "vocab_transform",
            "head.transform.norm": "vocab_layer_norm",
            "head": "vocab_projector",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: {"head.output": "classifier"},
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    tied={"vocab_projector.weight": "embeddings.word_embeddings.weight"},
)
ARCHITECTURE = Architecture(
    class_prefix="DistilBert",
    config_type=DistilBertConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_head=build_head,
    finish_initialisation=set_sinusoidal_positions,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
