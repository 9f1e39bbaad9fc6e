"""GPT-2 and DistilGPT2: each token sees those before it, and layers normalise their input.

A text is read at its last token, which alone has seen all of it. There is no token for padding:
fine-tuning takes the one that ends a text, and the attention mask hides it.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._classes import make_classes
from limbeck.models._config import ModelConfig
from limbeck.models._heads import build_score_head, require_tied_decoder
from limbeck.models._kinds import (
    CAUSAL_LM,
    ENCODER,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Kind,
)
from limbeck.models._names import NameTable, Stored
from limbeck.nn import (
    CausalLMHead,
    Embeddings,
    Encoder,
    FeedForward,
    LastTokenPooler,
    PreNormLayer,
    Reach,
    SelfAttention,
    build_activation,
)

_TOKEN_DROPOUT = 0.1  # of `transformers`' token classifier, where the configuration has no rate


@dataclass(frozen=True, kw_only=True)
class GPT2Config(ModelConfig):
    """GPT-2 small, unless told otherwise."""

    model_type: ClassVar[str] = "gpt2"
    common_names: ClassVar = {
        "max_position_embeddings": "n_positions",
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "hidden_act": "activation_function",
        "hidden_dropout_prob": "resid_pdrop",
        "attention_probs_dropout_prob": "attn_pdrop",
        "layer_norm_eps": "layer_norm_epsilon",
    }
    tiny_values: ClassVar = {"pad_token_id": 0, "layer_norm_epsilon": 1e-3}
    fixed_values: ClassVar = {
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "add_cross_attention": (False,),
        "hidden_dropout": (None,),
        "pruned_heads": ({}, None),
    }
    # No field beside `n_positions`, whose other name it is: files would have both.
    max_position_embeddings: ClassVar[Any] = property(  # type: ignore[misc]
        lambda config: config.n_positions
    )

    vocab_size: int = fields.size(50257)
    pad_token_id: int | None = fields.token_id(None)
    bos_token_id: int | None = fields.token_id(50256)
    eos_token_id: int | None = fields.token_id(50256)
    n_positions: int = fields.size(1024)
    n_embd: int = fields.size(768)
    n_layer: int = fields.size(12)
    n_head: int = fields.size(12)
    n_inner: int | None = fields.size(None, optional=True)
    """Inner width of the feed-forward blocks; four times `n_embd` if absent."""
    activation_function: str = fields.activation("gelu_new")
    resid_pdrop: float = fields.rate(0.1)
    embd_pdrop: float = fields.rate(0.1)
    attn_pdrop: float = fields.rate(0.1)
    layer_norm_epsilon: float = fields.positive(1e-5)
    classifier_dropout: float | None = fields.rate(None, optional=True)
    """Dropout before the classifier of tokens; 0.1 if absent."""

    @property
    def hidden_size(self) -> int:
        """`n_embd`."""
        return self.n_embd

    @property
    def num_hidden_layers(self) -> int:
        """`n_layer`."""
        return self.n_layer

    @property
    def num_attention_heads(self) -> int:
        """`n_head`."""
        return self.n_head

    @property
    def intermediate_size(self) -> int:
        """`n_inner`, or what it stands for."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner


def build_encoder(config: GPT2Config) -> Encoder:
    """Composes the embeddings, the layers and the norm at their end."""
    return Encoder(
        embeddings=Embeddings(
            # The token of padding is that of the end, so that its row is trained as others are.
            word=nn.Embedding(config.vocab_size, config.n_embd),
            position=nn.Embedding(config.n_positions, config.n_embd),
            token_type=None,
            norm=nn.Identity(),
            dropout=nn.Dropout(config.embd_pdrop),
        ),
        layers=[build_layer(config) for _ in range(config.n_layer)],
        reaches=[Reach(ahead=0)] * config.n_layer,
        norm=_build_norm(config),
    )


def build_layer(config: GPT2Config) -> PreNormLayer:
    """Composes one layer; in this family they are all alike."""
    return PreNormLayer(
        attention=SelfAttention(
            config.n_embd,
            num_heads=config.n_head,
            head_size=config.head_size,
            dropout=config.attn_pdrop,
        ),
        attention_dropout=nn.Dropout(config.resid_pdrop),
        attention_norm=_build_norm(config),
        feed_forward=FeedForward(
            config.n_embd,
            intermediate_size=config.intermediate_size,
            activation=build_activation(config.activation_function),
        ),
        feed_forward_dropout=nn.Dropout(config.resid_pdrop),
        feed_forward_norm=_build_norm(config),
    )


def build_pooler(config: GPT2Config, kind: Kind) -> LastTokenPooler | None:
    """Composes what reads the last token, for the sequence classifier."""
    return LastTokenPooler(config.pad_token_id) if kind is SEQUENCE_CLASSIFICATION else None


def build_head(config: GPT2Config, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is CAUSAL_LM:
        require_tied_decoder(config)
        return CausalLMHead()
    if kind is TOKEN_CLASSIFICATION:
        rate = config.classifier_dropout
        return build_score_head(config, kind=kind, dropout=_TOKEN_DROPOUT if rate is None else rate)
    return build_score_head(config, kind=kind, dropout=0.0, bias=kind is QUESTION_ANSWERING)


@torch.no_grad()
def narrow_residual_weights(config: GPT2Config, part: nn.Module) -> None:
    """Divides what new layers add to their input, so that its sum does not grow with depth."""
    for layer in part.modules():
        if isinstance(layer, PreNormLayer):
            for linear in (layer.attention.output, layer.feed_forward.down):
                linear.weight /= math.sqrt(2 * config.n_layer)


def _build_norm(config: GPT2Config) -> nn.LayerNorm:
    return nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)


def _projection(part: int) -> Stored:
    return Stored(name="h.{i}.attn.c_attn", transposed=True, part=part, num_parts=3)


NAMES = NameTable(
    prefix="transformer",
    body={
        "encoder.embeddings.word": "wte",
        "encoder.embeddings.word.projection": "wte_projection",
        "encoder.embeddings.position": "wpe",
        "encoder.layers.{i}.attention_norm": "h.{i}.ln_1",
        "encoder.layers.{i}.attention.query": _projection(0),
        "encoder.layers.{i}.attention.key": _projection(1),
        "encoder.layers.{i}.attention.value": _projection(2),
        "encoder.layers.{i}.attention.output": Stored(name="h.{i}.attn.c_proj", transposed=True),
        "encoder.layers.{i}.feed_forward_norm": "h.{i}.ln_2",
        "encoder.layers.{i}.feed_forward.up": Stored(name="h.{i}.mlp.c_fc", transposed=True),
        "encoder.layers.{i}.feed_forward.down": Stored(name="h.{i}.mlp.c_proj", transposed=True),
        "encoder.norm": "ln_f",
    },
    heads={
        CAUSAL_LM.name: {},
        SEQUENCE_CLASSIFICATION.name: {"head.output": "score"},
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: {"head.output": "classifier"},
    },
    other_heads=frozenset({"multiple_choice_head.summary"}),
    tied={"lm_head.weight": "wte.weight"},
    # Masks, which old versions of `transformers` saved beside the weights.
    buffers=frozenset({"h.{i}.attn.bias", "h.{i}.attn.masked_bias"}),
)
ARCHITECTURE = Architecture(
    class_prefix="GPT2",
    config_type=GPT2Config,
    names=NAMES,
    kinds=(
        ENCODER,
        CAUSAL_LM,
        SEQUENCE_CLASSIFICATION,
        QUESTION_ANSWERING,
        TOKEN_CLASSIFICATION,
    ),
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
    finish_initialisation=narrow_residual_weights,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
