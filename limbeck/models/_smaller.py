"""What configurations of all families may ask for: ALBERT's two ways to have fewer parameters.

Source: Lan et al. 2020, https://arxiv.org/abs/1909.11942, section 3.1.
"""

from __future__ import annotations

from torch import nn

from limbeck.models._config import ModelConfig
from limbeck.nn import Embeddings, Encoder, FactorisedEmbedding


def make_smaller(encoder: Encoder, config: ModelConfig) -> None:
    """Factorises the words' table and shares layers of a new encoder, where it is configured."""
    if config.embedding_rank is not None:
        _factorise_words(encoder.embeddings, config.embedding_rank)
    if config.num_hidden_groups not in (None, len(encoder.layers)):
        _share_layers(encoder, config)


def _factorise_words(embeddings: Embeddings, rank: int) -> None:
    whole = embeddings.word
    embeddings.word = FactorisedEmbedding(
        whole.num_embeddings, whole.embedding_dim, rank=rank, padding_idx=whole.padding_idx
    )


def _share_layers(encoder: Encoder, config: ModelConfig) -> None:
    """Leaves the first layer of each group, which runs in the places of all."""
    order = config.order
    firsts = [order.index(group) for group in sorted(set(order))]
    encoder.layers = nn.ModuleList(encoder.layers[place] for place in firsts)
    encoder.order = order
