"""BERT: token types, pooler, post-LayerNorm blocks.

Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._blocks import build_embeddings, build_layer, build_pooler
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
from limbeck.nn import Encoder


@dataclass(frozen=True, kw_only=True)
class BertConfig(ModelConfig):
    """BERT-base, unless told otherwise."""

    model_type: ClassVar[str] = "bert"
    fixed_values: ClassVar = {
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "pruned_heads": ({}, None),
    }

    hidden_size: int = fields.size(768)
    num_hidden_layers: int = fields.size(12)
    num_attention_heads: int = fields.size(12)
    intermediate_size: int = fields.size(3072)
    hidden_act: str = fields.activation("gelu")
    hidden_dropout_prob: float = fields.rate(0.1)
    attention_probs_dropout_prob: float = fields.rate(0.1)
    type_vocab_size: int = fields.size(2)
    layer_norm_eps: float = fields.positive(1e-12)
    classifier_dropout: float | None = fields.rate(None, optional=True)
    """Dropout before the classifier; `hidden_dropout_prob` if absent."""


def build_encoder(config: BertConfig) -> Encoder:
    """Composes the embeddings and the layers."""
    return Encoder(
        embeddings=build_embeddings(
            config, size=config.hidden_size, num_types=config.type_vocab_size
        ),
        layers=[build_layer(config) for _ in range(config.num_hidden_layers)],
    )


def build_head(config: BertConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        return build_masked_lm_head(config, activation=config.hidden_act, eps=config.layer_norm_eps)
    rate = config.classifier_dropout
    dropout = config.hidden_dropout_prob if rate is None else rate
    return build_score_head(
        config, kind=kind, dropout=0.0 if kind is QUESTION_ANSWERING else dropout
    )


_CLASSIFIER = {"head.output": "classifier"}
NAMES = NameTable(
    prefix="bert",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.word_projection",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.token_type": "embeddings.token_type_embeddings",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        "encoder.layers.{i}.attention.query": "encoder.layer.{i}.attention.self.query",
        "encoder.layers.{i}.attention.key": "encoder.layer.{i}.attention.self.key",
        "encoder.layers.{i}.attention.value": "encoder.layer.{i}.attention.self.value",
        "encoder.layers.{i}.attention.output": "encoder.layer.{i}.attention.output.dense",
        "encoder.layers.{i}.attention_norm": "encoder.layer.{i}.attention.output.LayerNorm",
        "encoder.layers.{i}.feed_forward.up": "encoder.layer.{i}.intermediate.dense",
        "encoder.layers.{i}.feed_forward.down": "encoder.layer.{i}.output.dense",
        "encoder.layers.{i}.feed_forward_norm": "encoder.layer.{i}.output.LayerNorm",
        "pooler.dense": "pooler.dense",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "cls.predictions.transform.dense",
            "head.transform.norm": "cls.predictions.transform.LayerNorm",
            "head": "cls.predictions",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: _CLASSIFIER,
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    other_heads=frozenset({"cls.seq_relationship"}),
    tied={
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)
ARCHITECTURE = Architecture(
    class_prefix="Bert",
    config_type=BertConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
