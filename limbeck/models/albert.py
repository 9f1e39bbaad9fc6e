"""ALBERT: factorised embeddings, and layers that are shared.

Source: Lan et al. 2020, https://arxiv.org/abs/1909.11942.
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
from limbeck.nn import Encoder, EncoderLayer


@dataclass(frozen=True, kw_only=True)
class AlbertConfig(ModelConfig):
    """ALBERT-xxlarge, unless told otherwise."""

    model_type: ClassVar[str] = "albert"
    why_alike: ClassVar[str] = "a layer of a group runs in several places"
    tiny_values: ClassVar = {"embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 2}

    vocab_size: int = fields.size(30000)
    embedding_size: int = fields.size(128)
    hidden_size: int = fields.size(4096)
    num_hidden_layers: int = fields.size(12)
    """How often a group runs."""
    num_hidden_groups: int = fields.size(1)
    """How many groups there are, each with weights of its own; they run one after another."""
    inner_group_num: int = fields.size(1)
    """How many layers a group has."""
    num_attention_heads: int = fields.size(64)
    intermediate_size: int = fields.size(16384)
    hidden_act: str = fields.activation("gelu_new")
    hidden_dropout_prob: float = fields.rate(0.0)
    attention_probs_dropout_prob: float = fields.rate(0.0)
    type_vocab_size: int = fields.size(2)
    layer_norm_eps: float = fields.positive(1e-12)
    classifier_dropout_prob: float = fields.rate(0.1)

    @property
    def num_places(self) -> int:
        """Each run of a group is as many layers as it has."""
        return self.num_hidden_layers * self.inner_group_num


def build_encoder(config: AlbertConfig) -> Encoder:
    """Composes the embeddings, their projection and the groups of layers."""
    size = config.embedding_size
    return Encoder(
        embeddings=build_embeddings(config, size=size, num_types=config.type_vocab_size),
        projection=nn.Linear(size, config.hidden_size),
        layers=[
            nn.ModuleList(_build_layer(config) for _ in range(config.inner_group_num))
            for _ in range(config.num_hidden_groups)
        ],
        order=config.order,
    )


def build_head(config: AlbertConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        return build_masked_lm_head(
            config,
            activation=config.hidden_act,
            eps=config.layer_norm_eps,
            embedding_size=config.embedding_size,
        )
    rate = config.classifier_dropout_prob
    return build_score_head(config, kind=kind, dropout=0.0 if kind is QUESTION_ANSWERING else rate)


def _build_layer(config: AlbertConfig) -> EncoderLayer:
    layer = build_layer(config)
    # The released code has a dropout in this place, `transformers` has none.
    layer.feed_forward_dropout = nn.Identity()
    return layer


_LAYER = "encoder.layers.{i}.{j}."
_THEIRS = "encoder.albert_layer_groups.{i}.albert_layers.{j}."
_CLASSIFIER = {"head.output": "classifier"}
NAMES = NameTable(
    prefix="albert",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.word_projection",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.token_type": "embeddings.token_type_embeddings",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        "encoder.projection": "encoder.embedding_hidden_mapping_in",
        f"{_LAYER}attention.query": f"{_THEIRS}attention.query",
        f"{_LAYER}attention.key": f"{_THEIRS}attention.key",
        f"{_LAYER}attention.value": f"{_THEIRS}attention.value",
        f"{_LAYER}attention.output": f"{_THEIRS}attention.dense",
        f"{_LAYER}attention_norm": f"{_THEIRS}attention.LayerNorm",
        f"{_LAYER}feed_forward.up": f"{_THEIRS}ffn",
        f"{_LAYER}feed_forward.down": f"{_THEIRS}ffn_output",
        f"{_LAYER}feed_forward_norm": f"{_THEIRS}full_layer_layer_norm",
        "pooler.dense": "pooler",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "predictions.dense",
            "head.transform.norm": "predictions.LayerNorm",
            "head": "predictions",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: _CLASSIFIER,
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    other_heads=frozenset({"sop_classifier.classifier"}),
    tied={
        "predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
)
ARCHITECTURE = Architecture(
    class_prefix="Albert",
    config_type=AlbertConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
