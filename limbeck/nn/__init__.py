"""Blocks that every architecture is composed of; they know no family, file or tokenizer."""

from limbeck.nn.activation import ACTIVATIONS, build_activation
from limbeck.nn.attention import SelfAttention
from limbeck.nn.collecting import (
    COLLECTABLE,
    Collect,
    count_layers_below,
    is_collected,
    names_in,
)
from limbeck.nn.embeddings import Embeddings
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
from limbeck.nn.initialise import DrawsItself, initialise, sinusoidal_positions
from limbeck.nn.layer import EncoderLayer, PreNormLayer
from limbeck.nn.masks import Reach, additive_mask
from limbeck.nn.modes import evaluation
from limbeck.nn.outputs import EncoderOutput, ModelOutput
from limbeck.nn.pooling import POOLING_MODES, DenseLayer, Normalize, Pooling, PoolingMode
from limbeck.nn.precision import at_least_float32
from limbeck.nn.rotary import RotaryPositions, Rotation
from limbeck.nn.similarity import Similarity, similarity_matrix, similarity_of_pairs
from limbeck.nn.transfer import to_device

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
