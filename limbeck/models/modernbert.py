"""ModernBERT: rotary positions, gated feed-forwards, most layers see only what is around a token.

Layers normalise their input; the first takes the embeddings as they are, which are normalised
already.

Source: Warner et al. 2024, https://arxiv.org/abs/2412.13663.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import nn

from limbeck.errors import SettingsError, shorten
from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._classes import make_classes
from limbeck.models._config import ModelConfig
from limbeck.models._heads import build_score_head, require_tied_decoder
from limbeck.models._kinds import (
    MASKED_LM,
    MULTIPLE_CHOICE,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Kind,
)
from limbeck.models._names import NameTable, Stored
from limbeck.nn import (
    Embeddings,
    Encoder,
    GatedFeedForward,
    MaskedLMHead,
    MeanPooler,
    PreNormLayer,
    Reach,
    RotaryPositions,
    Rotation,
    ScoreHead,
    SelfAttention,
    VocabularyTransform,
    build_activation,
)

GLOBAL, LOCAL = "full_attention", "sliding_attention"
_LAYER_TYPES = (GLOBAL, LOCAL)
_BASES = {GLOBAL: 160_000.0, LOCAL: 10_000.0}


def _are_layer_types(value: Any) -> bool:
    return value is None or (
        isinstance(value, list | tuple) and all(name in _LAYER_TYPES for name in value)
    )


def _is_rotation(value: Any) -> bool:
    if not isinstance(value, Mapping) or value.keys() != {"rope_type", "rope_theta"}:
        return False
    base = value["rope_theta"]
    is_number = isinstance(base, int | float) and not isinstance(base, bool)
    return value["rope_type"] == "default" and is_number and 0 < base < math.inf


def _alternate(num_layers: int, *, every: int = 3) -> list[str]:
    """Returns the kinds of layers where one in so many is global, from the first on."""
    return [LOCAL if index % every else GLOBAL for index in range(num_layers)]


@dataclass(frozen=True, kw_only=True)
class ModernBertConfig(ModelConfig):
    """ModernBERT-base, unless told otherwise.

    Files of before `transformers` 5 say `global_attn_every_n_layers`, `global_rope_theta` and
    `local_rope_theta`; they are read too, and written as they are now.
    """

    model_type: ClassVar[str] = "modernbert"
    common_names: ClassVar = {
        "hidden_act": "hidden_activation",
        "attention_probs_dropout_prob": "attention_dropout",
    }
    fixed_values: ClassVar = {"rope_scaling": (None,)}
    tiny_values: ClassVar = {"pad_token_id": 3, "local_attention": 4}

    vocab_size: int = fields.size(50368)
    max_position_embeddings: int = fields.size(8192)
    """Length of the longest input; nothing else hangs on it."""
    pad_token_id: int | None = fields.token_id(50283)
    hidden_size: int = fields.size(768)
    num_hidden_layers: int = fields.size(22)
    num_attention_heads: int = fields.size(12)
    intermediate_size: int = fields.size(1152)
    hidden_activation: str = fields.activation("gelu")
    attention_dropout: float = fields.rate(0.0)
    embedding_dropout: float = fields.rate(0.0)
    mlp_dropout: float = fields.rate(0.0)
    attention_bias: bool = fields.flag(default=False)
    mlp_bias: bool = fields.flag(default=False)
    norm_bias: bool = fields.flag(default=False)
    norm_eps: float = fields.positive(1e-5)
    layer_types: Sequence[str] | None = fields.checked(
        None, f"a list of {GLOBAL} and {LOCAL}, or null", _are_layer_types
    )
    """What each layer sees: all tokens or its surroundings; if absent every third one all, from the
    first on."""
    local_attention: int = fields.size(128)
    """How many tokens a layer sees that sees its surroundings, half on each side."""
    initializer_cutoff_factor: float = fields.positive(2.0)
    """How many standard deviations new weights are away from 0 at most."""
    rope_parameters: Mapping[str, Mapping[str, Any]] | None = fields.checked(
        None,
        f"a mapping from {GLOBAL} and {LOCAL} to settings, or null",
        lambda v: v is None or (isinstance(v, Mapping) and v.keys() == set(_LAYER_TYPES)),
    )
    """The base of the wavelengths of either kind of layer; 160,000 and 10,000 if absent."""
    decoder_bias: bool = fields.flag(default=True)
    classifier_pooling: str = fields.one_of("cls", ("cls", "mean"))
    """What classifiers read of a text: its first token, or the mean of all."""
    classifier_dropout: float = fields.rate(0.0)
    classifier_bias: bool = fields.flag(default=False)
    classifier_activation: str = fields.activation("gelu")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_types is None:
            object.__setattr__(self, "layer_types", _alternate(self.num_hidden_layers))
        if self.rope_parameters is None:
            rotations = {
                name: {"rope_type": "default", "rope_theta": base} for name, base in _BASES.items()
            }
            object.__setattr__(self, "rope_parameters", rotations)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the content of a `config.json`, old or new; see `ModelConfig.from_dict`.

        Raises:
            SettingsError: As there.
        """
        given = dict(values)
        every = given.pop("global_attn_every_n_layers", None)
        bases = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}
        old = {name: given.pop(key) for name, key in bases.items() if key in given}
        if old and given.get("rope_parameters") is None:
            given["rope_parameters"] = {
                name: {"rope_type": "default", "rope_theta": base}
                for name, base in (_BASES | old).items()
            }
        config = super().from_dict(given)
        if every is None or given.get("layer_types") is not None:
            return config
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise SettingsError(
                f"global_attn_every_n_layers is {every!r}; accepted: a whole number from 1."
            )
        return config.replace(layer_types=_alternate(config.num_hidden_layers, every=every))

    def replace(self, **changes: Any) -> Self:
        """Returns a checked copy with other values; see `ModelConfig.replace`.

        Another depth goes on with the alternation that there is.

        Raises:
            SettingsError: As there.
        """
        depth = changes.get("num_hidden_layers")
        if isinstance(depth, int) and "layer_types" not in changes:
            every = next((i for i, name in enumerate(self._types) if i and name == GLOBAL), 3)
            if list(self._types) == _alternate(len(self._types), every=every):
                changes["layer_types"] = _alternate(max(depth, 0), every=every)
        return super().replace(**changes)

    def keep_layers(self, layers: Sequence[int]) -> Self:
        """Returns the configuration of a model that has these layers of it alone, in this order.

        Raises:
            SettingsError: If the first of them is not the first of all.
        """
        if layers[0] != 0:
            raise SettingsError(
                f"layers = {list(layers)}: layer {layers[0]} normalises its input, which the first "
                f"one of {self.model_type} does not; accepted: lists that begin with 0"
            )
        kept = [self._types[layer] for layer in layers]
        return self.replace(
            num_hidden_layers=len(kept), layer_types=kept, layer_shapes=self.keep_shapes(layers)
        )

    @property
    def weight_cut(self) -> float:
        """`initializer_cutoff_factor`."""
        return self.initializer_cutoff_factor

    @property
    def _types(self) -> Sequence[str]:
        assert self.layer_types is not None
        return self.layer_types

    def _find_contradictions(self) -> list[str]:
        faults = super()._find_contradictions()
        if self.layer_types is not None and len(self.layer_types) != self.num_hidden_layers:
            faults.append(
                f"layer_types has {len(self.layer_types)} layers; accepted: as many as "
                f"num_hidden_layers, {self.num_hidden_layers}"
            )
        if self.num_hidden_groups is not None:
            faults.append(
                f"num_hidden_groups is {self.num_hidden_groups}; accepted: null, since layers of "
                f"{self.model_type} are not alike: the first normalises nothing, others see all or "
                "what is around a token"
            )
        faults += [
            f"rope_parameters has {shorten(given)} for {name}; accepted: a rope_type, default, and "
            "a rope_theta, a number above 0"
            for name, given in (self.rope_parameters or {}).items()
            if not _is_rotation(given)
        ]
        if not faults and self.head_size % 2:
            faults.append(
                f"hidden_size {self.hidden_size} gives heads of {self.head_size}; accepted: an "
                "even number, whose halves are turned together"
            )
        return faults


def build_encoder(config: ModernBertConfig) -> Encoder:
    """Composes the embeddings, the layers and the norm at their end."""
    assert config.layer_types is not None
    assert config.rope_parameters is not None
    around = config.local_attention // 2
    reaches = {GLOBAL: None, LOCAL: Reach(back=around, ahead=around)}
    return Encoder(
        embeddings=Embeddings(
            word=nn.Embedding(
                config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id
            ),
            position=None,
            token_type=None,
            norm=_build_norm(config),
            dropout=nn.Dropout(config.embedding_dropout),
        ),
        layers=[build_layer(config, index) for index in range(config.num_hidden_layers)],
        relative_positions=RotaryPositions(
            config.head_size,
            bases=[config.rope_parameters[name]["rope_theta"] for name in _LAYER_TYPES],
        ),
        reaches=[reaches[name] for name in config.layer_types],
        norm=_build_norm(config),
    )


def build_layer(config: ModernBertConfig, index: int) -> PreNormLayer:
    """Composes the layer of a place."""
    assert config.layer_types is not None
    size = config.hidden_size
    return PreNormLayer(
        attention=SelfAttention(
            size,
            num_heads=config.num_attention_heads,
            head_size=config.head_size,
            dropout=config.attention_dropout,
            rotation=Rotation(base=_LAYER_TYPES.index(config.layer_types[index])),
            bias=config.attention_bias,
        ),
        attention_dropout=nn.Dropout(config.attention_dropout),
        attention_norm=nn.Identity() if index == 0 else _build_norm(config),
        feed_forward=GatedFeedForward(
            size,
            intermediate_size=config.intermediate_size,
            activation=build_activation(config.hidden_activation),
            dropout=nn.Dropout(config.mlp_dropout),
            bias=config.mlp_bias,
        ),
        feed_forward_dropout=nn.Identity(),
        feed_forward_norm=_build_norm(config),
    )


def build_pooler(config: ModernBertConfig, kind: Kind) -> MeanPooler | None:
    """Composes what classifiers read of a text, where that is not its first token."""
    if kind.has_head and kind.reads_sequence and config.classifier_pooling == "mean":
        return MeanPooler()
    return None


def build_head(config: ModernBertConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind; all have the same dense layer and norm before their scores."""
    dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
    activation = build_activation(config.classifier_activation)
    norm = _build_norm(config)
    if kind is MASKED_LM:
        require_tied_decoder(config)
        return MaskedLMHead(
            transform=VocabularyTransform(dense=dense, activation=activation, norm=norm),
            vocab_size=config.vocab_size,
            bias=config.decoder_bias,
        )
    return build_score_head(
        config,
        kind=kind,
        dense=dense,
        activation=nn.Sequential(activation, norm),
        dropout=config.classifier_dropout,
    )


@torch.no_grad()
def scale_new_weights(config: ModernBertConfig, part: nn.Module) -> None:
    """Narrows what is added up over layers, and widens the classifier by its number of inputs."""
    narrower = 1 / math.sqrt(2 * config.num_hidden_layers)
    for module in part.modules():
        if isinstance(module, PreNormLayer):
            module.attention.output.weight.mul_(narrower)
            module.feed_forward.down.weight.mul_(narrower)
        elif isinstance(module, VocabularyTransform):
            module.dense.weight.mul_(narrower)
        elif isinstance(module, ScoreHead):
            assert isinstance(module.dense, nn.Linear)
            module.dense.weight.mul_(narrower)
            module.output.weight.mul_(config.hidden_size**-0.5 / config.initializer_range)


def _build_norm(config: ModernBertConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


_CLASSIFIER = {
    "head.dense": "head.dense",
    "head.activation.1": "head.norm",
    "head.output": "classifier",
}
_LAYER = "encoder.layers.{i}."
NAMES = NameTable(
    prefix="model",
    body={
        "encoder.embeddings.word": "embeddings.tok_embeddings",
        "encoder.embeddings.word.projection": "embeddings.tok_projection",
        "encoder.embeddings.norm": "embeddings.norm",
        f"{_LAYER}attention_norm": "layers.{i}.attn_norm",
        f"{_LAYER}attention.query": Stored(name="layers.{i}.attn.Wqkv", part=0, num_parts=3),
        f"{_LAYER}attention.key": Stored(name="layers.{i}.attn.Wqkv", part=1, num_parts=3),
        f"{_LAYER}attention.value": Stored(name="layers.{i}.attn.Wqkv", part=2, num_parts=3),
        f"{_LAYER}attention.output": "layers.{i}.attn.Wo",
        f"{_LAYER}feed_forward_norm": "layers.{i}.mlp_norm",
        f"{_LAYER}feed_forward.up": Stored(name="layers.{i}.mlp.Wi", part=0, num_parts=2),
        f"{_LAYER}feed_forward.gate": Stored(name="layers.{i}.mlp.Wi", part=1, num_parts=2),
        f"{_LAYER}feed_forward.down": "layers.{i}.mlp.Wo",
        "encoder.norm": "final_norm",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "head.dense",
            "head.transform.norm": "head.norm",
            "head": "decoder",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: _CLASSIFIER,
        TOKEN_CLASSIFICATION.name: _CLASSIFIER,
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    tied={"decoder.weight": "embeddings.tok_embeddings.weight"},
)
ARCHITECTURE = Architecture(
    class_prefix="ModernBert",
    config_type=ModernBertConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
    finish_initialisation=scale_new_weights,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
