"""Blocks that every architecture is composed of; they know no family, file or tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.nn.activation import ACTIVATIONS, build_activation
    from limbeck.nn.attention import SelfAttention
    from limbeck.nn.collecting import (
        COLLECTABLE,
        Collect,
        count_layers_below,
        is_collected,
        names_in,
    )
    from limbeck.nn.constants import POOLING_MODES, PoolingMode, Similarity
    from limbeck.nn.embeddings import Embeddings, FactorisedEmbedding
    from limbeck.nn.encoder import Encoder
    from limbeck.nn.feed_forward import FeedForward, GatedFeedForward
    from limbeck.nn.heads import (
        CausalLMHead,
        FirstTokenPooler,
        LastTokenPooler,
        MaskedLMHead,
        MeanPooler,
        ScoreHead,
        VocabularyTransform,
    )
    from limbeck.nn.initialisation import DrawsItself, initialise, sinusoidal_positions
    from limbeck.nn.layer import EncoderLayer, PreNormLayer
    from limbeck.nn.masks import Reach, additive_mask
    from limbeck.nn.modes import evaluation
    from limbeck.nn.outputs import EncoderOutput, ModelOutput
    from limbeck.nn.pooling import DenseLayer, Normalize, Pooling
    from limbeck.nn.precision import at_least_float32
    from limbeck.nn.rotary import RotaryPositions, Rotation
    from limbeck.nn.similarity import similarity_matrix, similarity_of_pairs
    from limbeck.nn.transfer import to_device
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "activation": ["ACTIVATIONS", "build_activation"],
            "attention": ["SelfAttention"],
            "collecting": [
                "COLLECTABLE",
                "Collect",
                "count_layers_below",
                "is_collected",
                "names_in",
            ],
            "constants": ["POOLING_MODES", "PoolingMode", "Similarity"],
            "embeddings": ["Embeddings", "FactorisedEmbedding"],
            "encoder": ["Encoder"],
            "feed_forward": ["FeedForward", "GatedFeedForward"],
            "heads": [
                "CausalLMHead",
                "FirstTokenPooler",
                "LastTokenPooler",
                "MaskedLMHead",
                "MeanPooler",
                "ScoreHead",
                "VocabularyTransform",
            ],
            "initialisation": ["DrawsItself", "initialise", "sinusoidal_positions"],
            "layer": ["EncoderLayer", "PreNormLayer"],
            "masks": ["Reach", "additive_mask"],
            "modes": ["evaluation"],
            "outputs": ["EncoderOutput", "ModelOutput"],
            "pooling": ["DenseLayer", "Normalize", "Pooling"],
            "precision": ["at_least_float32"],
            "rotary": ["RotaryPositions", "Rotation"],
            "similarity": ["similarity_matrix", "similarity_of_pairs"],
            "transfer": ["to_device"],
        },
    )

__all__ = [
    "ACTIVATIONS",
    "COLLECTABLE",
    "POOLING_MODES",
    "CausalLMHead",
    "Collect",
    "DenseLayer",
    "DrawsItself",
    "Embeddings",
    "Encoder",
    "EncoderLayer",
    "EncoderOutput",
    "FactorisedEmbedding",
    "FeedForward",
    "FirstTokenPooler",
    "GatedFeedForward",
    "LastTokenPooler",
    "MaskedLMHead",
    "MeanPooler",
    "ModelOutput",
    "Normalize",
    "Pooling",
    "PoolingMode",
    "PreNormLayer",
    "Reach",
    "RotaryPositions",
    "Rotation",
    "ScoreHead",
    "SelfAttention",
    "Similarity",
    "VocabularyTransform",
    "additive_mask",
    "at_least_float32",
    "build_activation",
    "count_layers_below",
    "evaluation",
    "initialise",
    "is_collected",
    "names_in",
    "similarity_matrix",
    "similarity_of_pairs",
    "sinusoidal_positions",
    "to_device",
]
