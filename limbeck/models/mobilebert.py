"""MobileBERT: deep and narrow, each layer behind a bottleneck, with several feed-forwards in it.

Source: Sun et al. 2020, https://arxiv.org/abs/2004.02984.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import limits
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
from limbeck.models._names import NameTable
from limbeck.nn import (
    Embeddings,
    Encoder,
    FeedForward,
    FirstTokenPooler,
    MaskedLMHead,
    SelfAttention,
    VocabularyTransform,
    build_activation,
)
from limbeck.nn.attention import AttentionParts
from limbeck.nn.heads import narrow


@dataclass(frozen=True, kw_only=True)
class MobileBertConfig(ModelConfig):
    """MobileBERT, unless told otherwise."""

    model_type: ClassVar[str] = "mobilebert"
    why_alike: ClassVar[str] = "a layer has several feed-forwards, behind a bottleneck"
    why_wide: ClassVar[str] = "its layers have a width of their own behind a bottleneck"
    tiny_values: ClassVar = {
        "embedding_size": 10,
        "intra_bottleneck_size": 12,
        "num_feedforward_networks": 3,
    }

    hidden_size: int = fields.size(512)
    """Width between the layers."""
    intra_bottleneck_size: int = fields.size(128)
    """Width within the layers."""
    embedding_size: int = fields.size(128)
    num_hidden_layers: int = fields.size(24)
    num_attention_heads: int = fields.size(4)
    intermediate_size: int = fields.size(512)
    num_feedforward_networks: int = fields.size(4)
    """How many feed-forwards a layer has, one after the other."""
    hidden_act: str = fields.activation("relu")
    hidden_dropout_prob: float = fields.rate(0.0)
    attention_probs_dropout_prob: float = fields.rate(0.1)
    type_vocab_size: int = fields.size(2)
    layer_norm_eps: float = fields.positive(1e-12)
    normalization_type: str = fields.one_of("no_norm", ("no_norm", "layer_norm"))
    """Whether states are normalised, or only multiplied and shifted, which is faster."""
    trigram_input: bool = fields.flag(default=True)
    """Whether a token's embedding is made of its neighbours' too."""
    use_bottleneck: bool = fields.flag(default=True)
    """Whether layers are narrower within than between them."""
    use_bottleneck_attention: bool = fields.flag(default=False)
    """Whether queries, keys and values are all made of what adds to the attention's output."""
    key_query_shared_bottleneck: bool = fields.flag(default=True)
    """Whether queries and keys have a bottleneck of their own, values none."""
    classifier_activation: bool = fields.flag(default=True)
    """Whether the pooler has a dense layer and an activation, or takes the first token as it is."""
    classifier_dropout: float | None = fields.rate(None, optional=True)
    """Dropout before the classifier; `hidden_dropout_prob` if absent."""

    @property
    def inner_size(self) -> int:
        """Width within the layers, bottleneck or not."""
        return self.intra_bottleneck_size if self.use_bottleneck else self.hidden_size

    @property
    def attention_size(self) -> int:
        """That of the bottleneck, in which attention runs."""
        return self.inner_size

    def _find_excess(self) -> list[str]:
        number, limit = self.num_hidden_layers * self.num_feedforward_networks, limits.LAYERS
        if number > limit.value:
            return [f"it has {fields.count(number)} feed-forwards; accepted: {limit.describe()}"]
        return super()._find_excess()

    def _find_contradictions(self) -> list[str]:
        faults = super()._find_contradictions()
        if self.inner_size % self.num_attention_heads:
            faults.append(
                f"intra_bottleneck_size {self.inner_size} is not divisible by "
                f"{self.num_attention_heads}, the number of attention heads"
            )
        if self.embedding_size > self.hidden_size:
            faults.append(
                f"embedding_size is {self.embedding_size}; accepted: up to hidden_size "
                f"{self.hidden_size}"
            )
        if self.use_bottleneck and not (
            self.use_bottleneck_attention or self.key_query_shared_bottleneck
        ):
            faults.append(
                "use_bottleneck_attention and key_query_shared_bottleneck are False; accepted with "
                "a bottleneck: one of them True, so that queries and keys are as narrow as it is"
            )
        if not self.trigram_input and self.embedding_size == self.hidden_size:
            faults.append(
                f"trigram_input is False with embeddings as wide as the layers, {self.hidden_size};"
                " accepted: True, or another embedding_size"
            )
        return faults


class NoNorm(nn.Module):
    """Multiplies and shifts, in the place of a norm.

    Source: Sun et al. 2020, https://arxiv.org/abs/2004.02984, section 3.3.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.bias = nn.Parameter(torch.empty(size))

    def draw(self, *, std: float) -> None:  # noqa: ARG002 - as norms start, for any deviation
        """Sets it to the identity."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., size), the same as the result."""
        return hidden * self.weight + self.bias


class Neighbours(nn.Module):
    """Puts the vectors of the next token, the token itself and the one before side by side.

    Source: Sun et al. 2020, https://arxiv.org/abs/2004.02984, section 3.1.
    """

    def forward(self, embedded: Tensor) -> Tensor:
        """Shape: (batch, sequence, embedding_size) to (batch, sequence, 3 * embedding_size)."""
        padded = F.pad(embedded, (0, 0, 1, 1))  # cut after it, lengths of exports stay free
        return torch.cat((padded[:, 2:], embedded, padded[:, :-2]), dim=-1)


class _Inputs(NamedTuple):
    """What a layer's attention is made of.

    Shape:
        scored: (batch, sequence, inner_size), for queries and keys.
        valued: (batch, sequence, inner_size or hidden_size), for values.
        added: (batch, sequence, inner_size), what its output is added to.
    """

    scored: Tensor
    valued: Tensor
    added: Tensor


class NoBottleneck(nn.Module):
    """Gives a layer its input as it is."""

    def forward(self, hidden: Tensor) -> _Inputs:
        """Shape: (batch, sequence, hidden_size)."""
        return _Inputs(hidden, hidden, hidden)


class Bottleneck(nn.Module):
    """Narrows a layer's input.

    Args:
        narrow: What the attention's output is added to.
        shared: What queries and keys are made of; values are then of the input as it is.
        is_for_all: Whether `narrow` is for queries, keys and values too. A folder may hold a
            `shared` all the same.

    Source: Sun et al. 2020, https://arxiv.org/abs/2004.02984, figure 1c.
    """

    def __init__(self, *, narrow: nn.Module, shared: nn.Module | None, is_for_all: bool) -> None:
        super().__init__()
        self.narrow = narrow
        self.shared = shared
        self.is_for_all = is_for_all

    def forward(self, hidden: Tensor) -> _Inputs:
        """Shape: (batch, sequence, hidden_size)."""
        added = self.narrow(hidden)
        if self.is_for_all or self.shared is None:
            return _Inputs(added, added, added)
        return _Inputs(self.shared(hidden), hidden, added)


class Narrowed(nn.Module):
    """A linear layer and a norm."""

    def __init__(self, *, dense: nn.Linear, norm: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.norm = norm

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., hidden_size) to (..., inner_size)."""
        narrowed: Tensor = self.norm(self.dense(hidden))
        return narrowed


class Added(nn.Module):
    """A block, its dropout, and the norm of its sum with what is added to it."""

    def __init__(self, *, block: nn.Module, dropout: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.dropout = dropout
        self.norm = norm

    def forward(self, hidden: Tensor, added: Tensor) -> Tensor:
        """Shape: (..., size of the block's input) and (..., size), the latter as the result."""
        summed: Tensor = self.norm(self.dropout(self.block(hidden)) + added)
        return summed


class MobileBertLayer(nn.Module):
    """Bottleneck, attention, several feed-forwards, and back to the width between layers.

    Args:
        bottleneck: From the layer's input to what attention is made of.
        attention: Of the inner width.
        attention_dropout: Before its output is added.
        attention_norm: Of that sum.
        feed_forwards: Each added to its input.
        widen: From the inner width to that between layers; None where they are one.

    Source: Sun et al. 2020, https://arxiv.org/abs/2004.02984, section 3.1.
    """

    def __init__(
        self,
        *,
        bottleneck: nn.Module,
        attention: SelfAttention,
        attention_dropout: nn.Module,
        attention_norm: nn.Module,
        feed_forwards: Iterable[Added],
        widen: Added | None,
    ) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        self.attention = attention
        self.attention_dropout = attention_dropout
        self.attention_norm = attention_norm
        *earlier, self.feed_forward = feed_forwards
        self.earlier = nn.ModuleList(earlier)
        self.widen = widen

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        *,
        explicit: bool = False,
    ) -> tuple[Tensor, AttentionParts]:
        """Runs the layer; arguments and shapes are those of `SelfAttention.forward`."""
        inputs = self.bottleneck(hidden)
        attended, parts = self.attention(
            inputs.scored, mask, positions, explicit=explicit, values=inputs.valued
        )
        inner = self.attention_norm(self.attention_dropout(attended) + inputs.added)
        for feed_forward in self.earlier:
            inner = feed_forward(inner, inner)
        inner = self.feed_forward(inner, inner)
        return (inner if self.widen is None else self.widen(inner, hidden)), parts


class FactorisedLMHead(MaskedLMHead):
    """Scores words by their embeddings and, where states are wider than these, by further numbers.

    `further` holds these as a linear layer does: (hidden_size - embedding_size, vocab_size).
    """

    def __init__(
        self, *, transform: VocabularyTransform, vocab_size: int, further: nn.Linear
    ) -> None:
        super().__init__(transform=transform, vocab_size=vocab_size)
        self.further = further

    def forward(self, hidden: Tensor, decoder: Tensor, projection: Tensor | None = None) -> Tensor:
        """Scores hidden states against each word's vector.

        Shape:
            hidden: (..., hidden_size).
            decoder: (vocab_size, embedding_size), the word embedding's weight.
            projection: (embedding_size, rank), where the embedding is factorised; the decoder is
                then (vocab_size, rank).
            result: (..., vocab_size).
        """
        transformed = self.transform(hidden)
        if projection is not None:
            size = len(projection)
            transformed = torch.cat(
                (narrow(transformed[..., :size], projection), transformed[..., size:]), dim=-1
            )
        vectors = torch.cat((decoder, self.further.weight.t()), dim=1)
        return F.linear(transformed, vectors, self.bias)


def build_encoder(config: MobileBertConfig) -> Encoder:
    """Composes the embeddings and the layers."""
    return Encoder(
        embeddings=_build_embeddings(config),
        layers=[build_layer(config) for _ in range(config.num_hidden_layers)],
    )


def build_layer(config: MobileBertConfig) -> MobileBertLayer:
    """Composes one layer; in this family they are all alike."""
    inner, outer, eps = config.inner_size, config.hidden_size, config.layer_norm_eps
    # A narrow layer has dropout only where it is widened.
    rate = 0.0 if config.use_bottleneck else config.hidden_dropout_prob
    *earlier, last = [
        FeedForward(
            inner,
            intermediate_size=config.intermediate_size,
            activation=build_activation(config.hidden_act),
        )
        for _ in range(config.num_feedforward_networks)
    ]
    added = [
        Added(block=block, dropout=nn.Identity(), norm=_build_norm(config, inner, eps=eps))
        for block in earlier
    ]
    final = Added(block=last, dropout=nn.Dropout(rate), norm=_build_norm(config, inner))
    widen = Added(
        block=nn.Linear(inner, outer),
        dropout=nn.Dropout(config.hidden_dropout_prob),
        norm=_build_norm(config, outer, eps=eps),
    )
    is_narrow_for_all = not config.use_bottleneck or config.use_bottleneck_attention
    return MobileBertLayer(
        bottleneck=_build_bottleneck(config) if config.use_bottleneck else NoBottleneck(),
        attention=SelfAttention(
            inner,
            num_heads=config.num_attention_heads,
            dropout=config.attention_probs_dropout_prob,
            value_size=inner if is_narrow_for_all else outer,
        ),
        attention_dropout=nn.Dropout(rate),
        attention_norm=_build_norm(config, inner, eps=eps),
        feed_forwards=[*added, final],
        widen=widen if config.use_bottleneck else None,
    )


def build_pooler(config: MobileBertConfig, kind: Kind) -> FirstTokenPooler | None:
    """Composes the pooler, where one vector a sequence is read."""
    if not kind.reads_sequence:
        return None
    if not config.classifier_activation:
        return FirstTokenPooler(dense=nn.Identity(), activation=nn.Identity())
    return FirstTokenPooler(
        dense=nn.Linear(config.hidden_size, config.hidden_size), activation=nn.Tanh()
    )


def build_head(config: MobileBertConfig, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        require_tied_decoder(config)
        size = config.hidden_size
        return FactorisedLMHead(
            transform=VocabularyTransform(
                dense=nn.Linear(size, size),
                activation=build_activation(config.hidden_act),
                norm=nn.LayerNorm(size, eps=config.layer_norm_eps),
            ),
            vocab_size=config.vocab_size,
            further=nn.Linear(config.vocab_size, size - config.embedding_size, bias=False),
        )
    rate = config.classifier_dropout
    dropout = config.hidden_dropout_prob if rate is None else rate
    return build_score_head(
        config, kind=kind, dropout=0.0 if kind is QUESTION_ANSWERING else dropout
    )


def _build_embeddings(config: MobileBertConfig) -> Embeddings:
    size, narrow = config.hidden_size, config.embedding_size
    if config.trigram_input:
        transform = nn.Sequential(Neighbours(), nn.Linear(3 * narrow, size))
    else:
        transform = nn.Sequential(nn.Identity(), nn.Linear(narrow, size))
    return Embeddings(
        word=nn.Embedding(config.vocab_size, narrow, padding_idx=config.pad_token_id),
        position=nn.Embedding(config.max_position_embeddings, size),
        token_type=nn.Embedding(config.type_vocab_size, size),
        norm=_build_norm(config, size),
        dropout=nn.Dropout(config.hidden_dropout_prob),
        transform=transform,
    )


def _build_bottleneck(config: MobileBertConfig) -> Bottleneck:
    return Bottleneck(
        narrow=_build_narrowed(config),
        shared=_build_narrowed(config) if config.key_query_shared_bottleneck else None,
        is_for_all=config.use_bottleneck_attention,
    )


def _build_narrowed(config: MobileBertConfig) -> Narrowed:
    size = config.intra_bottleneck_size
    return Narrowed(
        dense=nn.Linear(config.hidden_size, size),
        norm=_build_norm(config, size, eps=config.layer_norm_eps),
    )


def _build_norm(config: MobileBertConfig, size: int, *, eps: float = 1e-5) -> nn.Module:
    """Composes a norm; `eps` is torch's where the family's code does not set it."""
    return (
        nn.LayerNorm(size, eps=eps) if config.normalization_type == "layer_norm" else NoNorm(size)
    )


_CLASSIFIER = {"head.output": "classifier"}
_LAYER = "encoder.layers.{i}."
_THEIRS = "encoder.layer.{i}."
NAMES = NameTable(
    prefix="mobilebert",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.word_projection",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.token_type": "embeddings.token_type_embeddings",
        "encoder.embeddings.transform.1": "embeddings.embedding_transformation",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        f"{_LAYER}bottleneck.narrow.dense": f"{_THEIRS}bottleneck.input.dense",
        f"{_LAYER}bottleneck.narrow.norm": f"{_THEIRS}bottleneck.input.LayerNorm",
        f"{_LAYER}bottleneck.shared.dense": f"{_THEIRS}bottleneck.attention.dense",
        f"{_LAYER}bottleneck.shared.norm": f"{_THEIRS}bottleneck.attention.LayerNorm",
        f"{_LAYER}attention.query": f"{_THEIRS}attention.self.query",
        f"{_LAYER}attention.key": f"{_THEIRS}attention.self.key",
        f"{_LAYER}attention.value": f"{_THEIRS}attention.self.value",
        f"{_LAYER}attention.output": f"{_THEIRS}attention.output.dense",
        f"{_LAYER}attention_norm": f"{_THEIRS}attention.output.LayerNorm",
        f"{_LAYER}earlier.{{j}}.block.up": f"{_THEIRS}ffn.{{j}}.intermediate.dense",
        f"{_LAYER}earlier.{{j}}.block.down": f"{_THEIRS}ffn.{{j}}.output.dense",
        f"{_LAYER}earlier.{{j}}.norm": f"{_THEIRS}ffn.{{j}}.output.LayerNorm",
        f"{_LAYER}feed_forward.block.up": f"{_THEIRS}intermediate.dense",
        f"{_LAYER}feed_forward.block.down": f"{_THEIRS}output.dense",
        f"{_LAYER}feed_forward.norm": f"{_THEIRS}output.LayerNorm",
        f"{_LAYER}widen.block": f"{_THEIRS}output.bottleneck.dense",
        f"{_LAYER}widen.norm": f"{_THEIRS}output.bottleneck.LayerNorm",
        "pooler.dense": "pooler.dense",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "cls.predictions.transform.dense",
            "head.transform.norm": "cls.predictions.transform.LayerNorm",
            "head.further": "cls.predictions.dense",
            "head": "cls.predictions",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: _CLASSIFIER,
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    other_heads=frozenset({"cls.seq_relationship"}),
    tied={
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)
ARCHITECTURE = Architecture(
    class_prefix="MobileBert",
    config_type=MobileBertConfig,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
