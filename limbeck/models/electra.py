"""ELECTRA: BERT's layers over embeddings of another width, and a head that finds replaced tokens.

`ElectraForPreTraining` is the discriminator, `ElectraForMaskedLM` the generator that it is trained
against.

Source: Clark et al. 2020, https://arxiv.org/abs/2003.10555.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from limbeck.models import _fields as fields
from limbeck.models import bert
from limbeck.models._architecture import Architecture
from limbeck.models._blocks import build_embeddings, build_layer
from limbeck.models._classes import make_classes
from limbeck.models._heads import build_masked_lm_head, build_score_head
from limbeck.models._kinds import (
    COMMON_KINDS,
    MASKED_LM,
    MULTIPLE_CHOICE,
    QUESTION_ANSWERING,
    REPLACED_TOKENS,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Kind,
)
from limbeck.models._names import NameTable
from limbeck.nn import Encoder, build_activation


@dataclass(frozen=True, kw_only=True)
class ElectraConfig(bert.BertConfig):
    """ELECTRA-small, unless told otherwise."""

    model_type: ClassVar[str] = "electra"
    tiny_values: ClassVar = {"embedding_size": 16}
    fixed_values: ClassVar = {
        **bert.BertConfig.fixed_values,
        "summary_type": ("first",),
        "summary_use_proj": (True,),
        "summary_first_dropout": (0, None),
    }

    embedding_size: int = fields.size(128)
    """Width of the embeddings; they are projected where it is not `hidden_size`."""
    hidden_size: int = fields.size(256)
    num_attention_heads: int = fields.size(4)
    intermediate_size: int = fields.size(1024)
    summary_activation: str = fields.activation("gelu")
    """After the dense layer of the head for multiple choice."""
    summary_last_dropout: float = fields.rate(0.1)
    """Dropout before the classifier for multiple choice."""


def build_encoder(config: ElectraConfig) -> Encoder:
    """Composes the embeddings, their projection and the layers."""
    size, width = config.embedding_size, config.hidden_size
    return Encoder(
        embeddings=build_embeddings(config, size=size, num_types=config.type_vocab_size),
        projection=None if size == width else nn.Linear(size, width),
        layers=[build_layer(config) for _ in range(config.num_hidden_layers)],
    )


def build_head(config: ElectraConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind; there is no pooler, and that of a text has a dense layer."""
    if kind is MASKED_LM:  # whatever the layers' activation
        return build_masked_lm_head(
            config,
            activation="gelu",
            eps=config.layer_norm_eps,
            embedding_size=config.embedding_size,
        )
    given = config.classifier_dropout
    rate = config.hidden_dropout_prob if given is None else given
    dense = nn.Linear(config.hidden_size, config.hidden_size)
    if kind is SEQUENCE_CLASSIFICATION:
        return build_score_head(
            config,
            kind=kind,
            dense=nn.Sequential(nn.Dropout(rate), dense),
            activation=build_activation("gelu"),
            dropout=rate,
        )
    if kind is MULTIPLE_CHOICE:
        return build_score_head(
            config,
            kind=kind,
            dense=dense,
            activation=build_activation(config.summary_activation),
            dropout=config.summary_last_dropout,
        )
    if kind is REPLACED_TOKENS:
        return build_score_head(
            config,
            kind=kind,
            dense=dense,
            activation=build_activation(config.hidden_act),
            dropout=0.0,
        )
    return build_score_head(config, kind=kind, dropout=0.0 if kind is QUESTION_ANSWERING else rate)


NAMES = NameTable(
    prefix="electra",
    body={
        **{ours: name for ours, name in bert.NAMES.body.items() if not ours.startswith("pooler.")},
        "encoder.projection": "embeddings_project",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "generator_predictions.dense",
            "head.transform.norm": "generator_predictions.LayerNorm",
            "head": "generator_lm_head",
        },
        REPLACED_TOKENS.name: {
            "head.dense": "discriminator_predictions.dense",
            "head.output": "discriminator_predictions.dense_prediction",
        },
        SEQUENCE_CLASSIFICATION.name: {
            "head.dense.1": "classifier.dense",
            "head.output": "classifier.out_proj",
        },
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: {"head.output": "classifier"},
        MULTIPLE_CHOICE.name: {
            "head.dense": "sequence_summary.summary",
            "head.output": "classifier",
        },
    },
    tied={"generator_lm_head.weight": "embeddings.word_embeddings.weight"},
)
ARCHITECTURE = Architecture(
    class_prefix="Electra",
    config_type=ElectraConfig,
    names=NAMES,
    kinds=(*COMMON_KINDS, REPLACED_TOKENS),
    build_encoder=build_encoder,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
