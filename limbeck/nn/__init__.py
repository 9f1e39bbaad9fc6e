"""Blocks that every architecture is composed of; they know no family, file or tokenizer."""

from limbeck.nn.activation import ACTIVATIONS, build_activation
from limbeck.nn.attention import SelfAttention, additive_mask
from limbeck.nn.embeddings import Embeddings
from limbeck.nn.encoder import COLLECTABLE, Encoder
from limbeck.nn.feed_forward import FeedForward
from limbeck.nn.heads import FirstTokenPooler, MaskedLMHead, ScoreHead, VocabularyTransform
from limbeck.nn.initialise import initialise, sinusoidal_positions
from limbeck.nn.layer import EncoderLayer
from limbeck.nn.outputs import EncoderOutput, ModelOutput

__all__ = [
    "ACTIVATIONS",
    "COLLECTABLE",
    "Embeddings",
    "Encoder",
    "EncoderLayer",
    "EncoderOutput",
    "FeedForward",
    "FirstTokenPooler",
    "MaskedLMHead",
    "ModelOutput",
    "ScoreHead",
    "SelfAttention",
    "VocabularyTransform",
    "additive_mask",
    "build_activation",
    "initialise",
    "sinusoidal_positions",
]
