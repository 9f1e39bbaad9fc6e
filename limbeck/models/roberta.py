"""RoBERTa: BERT's encoder, with positions after the padding's number and heads of its own.

Its tokens are all of type 0; the table of types is there all the same, most often with that row
alone.

Source: Liu et al. 2019, https://arxiv.org/abs/1907.11692.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from limbeck.models import _blocks, bert
from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._classes import make_classes
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
from limbeck.nn import FirstTokenPooler


@dataclass(frozen=True, kw_only=True)
class RobertaConfig(bert.BertConfig):
    """As wide and deep as RoBERTa-base, which has 514 positions, 512 for tokens, and one type."""

    model_type: ClassVar[str] = "roberta"

    vocab_size: int = fields.size(50265)
    pad_token_id: int = fields.token_id(1, optional=False)
    """Also says where positions begin: the first token stands at the row after this number."""

    @property
    def reserved_positions(self) -> int:
        """Rows up to the padding's number belong to no token."""
        return self.pad_token_id + 1


def build_pooler(config: _blocks.BertLike, kind: Kind) -> FirstTokenPooler | None:
    """Composes the pooler, for the bare encoder and multiple choice."""
    return None if kind is SEQUENCE_CLASSIFICATION else _blocks.build_pooler(config, kind)


def build_head(config: RobertaConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind; that of classification has the dense layer that poolers have."""
    if kind is MASKED_LM:  # whatever the layers' activation
        return build_masked_lm_head(config, activation="gelu", eps=config.layer_norm_eps)
    if kind is MULTIPLE_CHOICE:
        return build_score_head(config, kind=kind, dropout=config.hidden_dropout_prob)
    if kind is not SEQUENCE_CLASSIFICATION:
        return bert.build_head(config, kind)
    given, size = config.classifier_dropout, config.hidden_size
    rate = config.hidden_dropout_prob if given is None else given
    return build_score_head(
        config,
        kind=kind,
        dense=nn.Sequential(nn.Dropout(rate), nn.Linear(size, size)),
        activation=nn.Tanh(),
        dropout=rate,
    )


NAMES = NameTable(
    prefix="roberta",
    body=bert.NAMES.body,
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "lm_head.dense",
            "head.transform.norm": "lm_head.layer_norm",
            "head": "lm_head",
        },
        SEQUENCE_CLASSIFICATION.name: {
            "head.dense.1": "classifier.dense",
            "head.output": "classifier.out_proj",
        },
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: {"head.output": "classifier"},
        MULTIPLE_CHOICE.name: {"head.output": "classifier"},
    },
    tied={
        "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
)
ARCHITECTURE = Architecture(
    class_prefix="Roberta",
    config_type=RobertaConfig,
    names=NAMES,
    build_encoder=bert.build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
