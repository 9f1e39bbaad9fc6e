"""MPNet: BERT's blocks with a learned bias for each distance, and no token types.

Source: Song et al. 2020, https://arxiv.org/abs/2004.09297.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models import _fields as fields
from limbeck.models import roberta
from limbeck.models._architecture import Architecture
from limbeck.models._blocks import build_embeddings, build_layer
from limbeck.models._classes import make_classes
from limbeck.models._config import ModelConfig
from limbeck.models._heads import build_masked_lm_head, build_score_head
from limbeck.models._kinds import (
    MASKED_LM,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    Kind,
)
from limbeck.models._names import NameTable
from limbeck.nn import Encoder

NUM_BUCKETS = 32  # for distances, half of them for each direction


@dataclass(frozen=True, kw_only=True)
class MPNetConfig(ModelConfig):
    """MPNet-base, unless told otherwise."""

    model_type: ClassVar[str] = "mpnet"
    # `transformers` counts in 32 whatever the file says, and so do models that were trained there.
    fixed_values: ClassVar = {"relative_attention_num_buckets": (NUM_BUCKETS,)}

    vocab_size: int = fields.size(30527)
    pad_token_id: int | None = fields.token_id(1)
    hidden_size: int = fields.size(768)
    num_hidden_layers: int = fields.size(12)
    num_attention_heads: int = fields.size(12)
    intermediate_size: int = fields.size(3072)
    hidden_act: str = fields.activation("gelu")
    hidden_dropout_prob: float = fields.rate(0.1)
    attention_probs_dropout_prob: float = fields.rate(0.1)
    layer_norm_eps: float = fields.positive(1e-12)

    @property
    def reserved_positions(self) -> int:
        """The first two, whatever the padding's number."""
        return 2


class DistanceBias(nn.Module):
    """A learned number for each head and bucket of distances, those far away logarithmic.

    Source: Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 2.1.
    """

    max_distance = 128  # from here on all distances share a bucket; no setting of the family

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (batch, sequence, hidden_size) to (1, heads, sequence, sequence)."""
        places = torch.arange(hidden.shape[1], device=hidden.device)
        ahead = places[None, :] - places[:, None]
        half = self.table.num_embeddings // 2
        exact = half // 2
        ratio = torch.log(ahead.abs().clamp(min=1) / exact) / math.log(self.max_distance / exact)
        far = exact + (ratio * (half - exact)).long().clamp(max=half - exact - 1)
        bucket = torch.where(ahead.abs() < exact, ahead.abs(), far) + (ahead > 0) * half
        # Contiguous, since fused attention on a GPU takes no mask whose last dimension is strided.
        bias: Tensor = self.table(bucket).permute(2, 0, 1)[None].contiguous()
        return bias


def build_encoder(config: MPNetConfig) -> Encoder:
    """Composes the embeddings, the layers and the bias of distances."""
    return Encoder(
        embeddings=build_embeddings(config, size=config.hidden_size, num_types=0),
        layers=[build_layer(config) for _ in range(config.num_hidden_layers)],
        position_bias=DistanceBias(nn.Embedding(NUM_BUCKETS, config.num_attention_heads)),
    )


def build_head(config: MPNetConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        return build_masked_lm_head(config, activation="gelu", eps=config.layer_norm_eps)
    rate = config.hidden_dropout_prob
    if kind is SEQUENCE_CLASSIFICATION:
        dense = nn.Sequential(nn.Dropout(rate), nn.Linear(config.hidden_size, config.hidden_size))
        return build_score_head(config, kind=kind, dense=dense, activation=nn.Tanh(), dropout=rate)
    return build_score_head(config, kind=kind, dropout=0.0 if kind is QUESTION_ANSWERING else rate)


_LAYER = "encoder.layers.{i}."
_THEIRS = "encoder.layer.{i}."
NAMES = NameTable(
    prefix="mpnet",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.word_projection",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        "encoder.position_bias.table": "encoder.relative_attention_bias",
        f"{_LAYER}attention.query": f"{_THEIRS}attention.attn.q",
        f"{_LAYER}attention.key": f"{_THEIRS}attention.attn.k",
        f"{_LAYER}attention.value": f"{_THEIRS}attention.attn.v",
        f"{_LAYER}attention.output": f"{_THEIRS}attention.attn.o",
        f"{_LAYER}attention_norm": f"{_THEIRS}attention.LayerNorm",
        f"{_LAYER}feed_forward.up": f"{_THEIRS}intermediate.dense",
        f"{_LAYER}feed_forward.down": f"{_THEIRS}output.dense",
        f"{_LAYER}feed_forward_norm": f"{_THEIRS}output.LayerNorm",
        "pooler.dense": "pooler.dense",
    },
    heads=roberta.NAMES.heads,
    tied=roberta.NAMES.tied,
)
ARCHITECTURE = Architecture(
    class_prefix="MPNet",
    config_type=MPNetConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=roberta.build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
