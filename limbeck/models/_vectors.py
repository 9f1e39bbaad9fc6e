"""The configuration of what is no model of tokens, but gives a vector for a whole text."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.models._config import ModelConfig
from limbeck.models._fields import size


@dataclass(frozen=True, kw_only=True)
class VectorConfig(ModelConfig):
    """All that is known of a teacher that gives vectors: their width."""

    model_type = "vectors"

    hidden_size: int = size(384)
    num_hidden_layers: int = 1
    num_attention_heads: int = 1
    intermediate_size: int = 1
