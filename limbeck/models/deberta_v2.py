"""DeBERTa v2 and v3: attention by content and by distance, each with projections of its own.

Only relative positions count, in buckets that grow with the distance, where a configuration says
so (v3 and most of v2). Folders of v2-xlarge, which has a convolution too, are refused.

Source: He et al. 2021, https://arxiv.org/abs/2006.03654; v3: https://arxiv.org/abs/2111.09543.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.models import _fields as fields
from limbeck.models._architecture import Architecture
from limbeck.models._blocks import build_embeddings, build_layer
from limbeck.models._classes import make_classes
from limbeck.models._config import ModelConfig
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
from limbeck.nn import Encoder, FirstTokenPooler, SelfAttention, build_activation


def _split_terms(value: str | Sequence[str] | None) -> frozenset[str]:
    """Returns what is added to the scores: files say "p2c|c2p" or a list."""
    names = value.split("|") if isinstance(value, str) else value or ()
    return frozenset(name.strip().lower() for name in names)


def _are_terms(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return value is None or (
        (isinstance(value, str) or is_list) and _split_terms(value) <= {"c2p", "p2c"}
    )


@dataclass(frozen=True, kw_only=True)
class DebertaV2Config(ModelConfig):
    """As wide and deep as DeBERTa-v2-xlarge, and without relative positions, unless told otherwise.

    Published folders say what `transformers` leaves out: `relative_attention` and how.
    """

    model_type: ClassVar[str] = "deberta-v2"
    fixed_values: ClassVar = {
        "conv_kernel_size": (0, None),
    }
    tiny_values: ClassVar = {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "position_buckets": 6,  # exact up to 3 tokens away, and 3 buckets for those from 4 to 7
        "max_relative_positions": 8,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
    }

    vocab_size: int = fields.size(128100)
    hidden_size: int = fields.size(1536)
    num_hidden_layers: int = fields.size(24)
    num_attention_heads: int = fields.size(24)
    intermediate_size: int = fields.size(6144)
    hidden_act: str = fields.activation("gelu")
    hidden_dropout_prob: float = fields.rate(0.1)
    attention_probs_dropout_prob: float = fields.rate(0.1)
    type_vocab_size: int = fields.size(0, least=0)
    layer_norm_eps: float = fields.positive(1e-7)
    position_biased_input: bool = fields.flag(default=True)
    """Whether there are embeddings of absolute positions."""
    relative_attention: bool = fields.flag(default=False)
    """Whether scores depend on distances too."""
    pos_att_type: str | Sequence[str] | None = fields.checked(
        None, "some of c2p and p2c, as a list or joined by |, or null", _are_terms
    )
    """What is added to the scores: c2p, a query on the distance, and p2c, a key on it."""
    share_att_key: bool = fields.flag(default=False)
    """Whether distances are projected as contents are, and not with weights of their own."""
    max_relative_positions: int = fields.size(-1, least=-1)
    """Distances from here on are one; `max_position_embeddings` if below 1."""
    position_buckets: int = fields.size(-1, least=-1)
    """How many rows there are for the distances of each direction, the far ones sharing rows; each
    distance has a row if below 1."""
    norm_rel_ebd: str = fields.one_of("none", ("none", "layer_norm"))
    """What normalises the vectors of distances."""
    pooler_dropout: float = fields.rate(0.0)
    pooler_hidden_act: str = fields.activation("gelu")
    cls_dropout: float | None = fields.rate(None, optional=True)
    """Dropout before the classifier; `hidden_dropout_prob` if absent."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the content of a `config.json`; see `ModelConfig.from_dict`.

        Raises:
            SettingsError: Likewise, and if embeddings, heads or the pooler have a width of their
                own.
        """
        config = super().from_dict(values)
        widths = {
            "embedding_size": config.embedding_rank or config.hidden_size,
            "pooler_hidden_size": config.hidden_size,
            "attention_head_size": config.head_size,
        }
        for key, width in widths.items():
            if values.get(key, width) != width:
                raise SettingsError(f"{key} is {values[key]!r}; accepted: {width}.")
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of a `config.json`, with what `transformers` calls the rank.

        Its class holds a factorised table as ours does where there are neither positions nor token
        types, which it would project too.
        """
        rank = self.embedding_rank
        return super().to_dict() | ({} if rank is None else {"embedding_size": rank})

    def keep_positions(self, max_tokens: int) -> Self:
        """Returns the configuration of a model that takes inputs of so many tokens at most.

        Distances are told apart as before, also where a folder says no number of them.
        """
        return self.replace(max_tokens=max_tokens, max_relative_positions=self.max_distance)

    @property
    def reserved_positions(self) -> int | None:
        """None where only distances count: inputs may then be of any length."""
        return 0 if self.position_biased_input else None

    @property
    def score_terms(self) -> frozenset[str]:
        """What `pos_att_type` lists."""
        return _split_terms(self.pos_att_type)

    @property
    def max_distance(self) -> int:
        """Distances from here on are one."""
        given = self.max_relative_positions
        return self.max_position_embeddings if given < 1 else given

    @property
    def num_distances(self) -> int:
        """How many rows there are for the distances of each direction."""
        return self.max_distance if self.position_buckets < 1 else self.position_buckets

    def _find_contradictions(self) -> list[str]:
        faults = super()._find_contradictions()
        exact = self.position_buckets // 2
        if self.position_buckets > 0 and not 0 < exact < self.max_distance - 1:
            faults.append(
                f"position_buckets is {self.position_buckets}; accepted: -1, or 2 to "
                f"{2 * self.max_distance - 4}, so that distances up to {self.max_distance} are left"
            )
        return faults


class Distances(NamedTuple):
    """What layers need to know of where tokens stand to each other.

    Shape:
        vectors: (2 * num_distances, hidden_size), of distances to those ahead and those behind.
        rows: (sequence, sequence), the row of `vectors` for each query and key.
    """

    vectors: Tensor
    rows: Tensor


class DistanceEmbeddings(nn.Module):
    """A vector for each distance, those far away sharing one by the logarithm of the distance.

    Args:
        table: The vectors, one half for each direction.
        norm: What they pass before they are used.
        max_distance: Distances from here on are one.
        is_logarithmic: Whether only half of the rows are for exact distances.

    Source: He et al. 2021, https://arxiv.org/abs/2006.03654, section 3.1; the logarithm is of
        their released code of v2.
    """

    def __init__(
        self, *, table: nn.Embedding, norm: nn.Module, max_distance: int, is_logarithmic: bool
    ) -> None:
        super().__init__()
        self.table = table
        self.norm = norm
        exact = table.num_embeddings // 4
        self.numbers = _number_distances(exact, max_distance) if is_logarithmic else None

    def forward(self, hidden: Tensor, _position_ids: Tensor | None = None) -> Distances:
        """Shape: (batch, sequence, hidden_size); distances are between places in a row."""
        half = self.table.num_embeddings // 2
        places = torch.arange(hidden.shape[1], device=hidden.device)
        back = self._bucket(places[:, None] - places[None, :])
        rows = (back + half).clamp(0, 2 * half - 1)
        return Distances(vectors=self.norm(self.table.weight), rows=rows)

    def _bucket(self, back: Tensor) -> Tensor:
        """Returns what number a distance has, negative for tokens ahead."""
        if self.numbers is None:
            return back
        numbers = torch.tensor(self.numbers, device=back.device)
        return numbers[back.abs().clamp(max=len(self.numbers) - 1)] * back.sign()


def _number_distances(exact: int, max_distance: int) -> list[int]:
    """Returns what number each distance has; those beyond the last one are beyond the table too.

    On some distances the last bit of a logarithm decides. They are looked up, so that a runtime
    that divides another way gives the numbers that models were trained with, in float32.
    """
    ratio = (max_distance - 1) / exact
    # From here on a number is above 2 * exact, which no table of vectors has.
    last = math.ceil(exact * ratio ** (exact / (exact - 1))) if exact > 1 else max_distance
    distance = torch.arange(last + 2, device="cpu")
    log_range = float(torch.tensor(ratio, device="cpu").log())
    share = (distance.clamp(min=exact - 1) / exact).log() / log_range
    far = (share * (exact - 1)).ceil().long() + exact
    numbers: list[int] = torch.where(distance <= exact, distance, far).tolist()
    return numbers


class ContentToPosition(nn.Module):
    """What a query makes of the distance to each key.

    `projection` makes keys of the vectors of distances; None takes the layer's own.
    """

    def __init__(self, projection: nn.Linear | None) -> None:
        super().__init__()
        self.projection = projection

    def forward(
        self, attention: SelfAttention, query: Tensor, _key: Tensor, distances: Distances
    ) -> Tensor:
        """Shape: (batch, heads, sequence, head_size) to (batch, heads, sequence, sequence)."""
        project = attention.key if self.projection is None else self.projection
        keys = attention.split_heads(project(distances.vectors))
        return _pick(query @ keys.transpose(-1, -2), distances.rows)


class PositionToContent(nn.Module):
    """What a key makes of the distance from each query; as `ContentToPosition`, with queries."""

    def __init__(self, projection: nn.Linear | None) -> None:
        super().__init__()
        self.projection = projection

    def forward(
        self, attention: SelfAttention, _query: Tensor, key: Tensor, distances: Distances
    ) -> Tensor:
        """Shape: (batch, heads, sequence, head_size) to (batch, heads, sequence, sequence)."""
        project = attention.query if self.projection is None else self.projection
        queries = attention.split_heads(project(distances.vectors))
        return _pick(key @ queries.transpose(-1, -2), distances.rows.transpose(-1, -2)).transpose(
            -1, -2
        )


def _pick(scores: Tensor, rows: Tensor) -> Tensor:
    """Picks of each token's scores of all distances those at which the others stand."""
    return scores.gather(-1, rows.expand(*scores.shape[:2], -1, -1))


class DisentangledScores(nn.Module):
    """What distances add to a layer's scores.

    Args:
        terms: The summands, under the names of the configuration.
        dropout: On the vectors of distances.

    Source: He et al. 2021, https://arxiv.org/abs/2006.03654, equation 4.
    """

    def __init__(self, *, terms: dict[str, nn.Module], dropout: nn.Module) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        self.dropout = dropout

    def forward(
        self, attention: SelfAttention, query: Tensor, key: Tensor, distances: Distances
    ) -> Tensor:
        """Shape: (batch, heads, sequence, head_size) to (batch, heads, sequence, sequence)."""
        distances = distances._replace(vectors=self.dropout(distances.vectors))
        bias: Tensor = sum(term(attention, query, key, distances) for term in self.terms.values())
        assert attention.scale is not None
        return bias * attention.scale


def build_encoder(config: DebertaV2Config) -> Encoder:
    """Composes the embeddings, the layers and the vectors of distances."""
    scale = (config.head_size * (1 + len(config.score_terms))) ** -0.5
    return Encoder(
        embeddings=build_embeddings(
            config,
            size=config.hidden_size,
            num_types=config.type_vocab_size,
            has_positions=config.position_biased_input,
        ),
        layers=[
            build_layer(config, scale=scale, relative=_build_scores(config))
            for _ in range(config.num_hidden_layers)
        ],
        relative_positions=_build_distances(config) if config.relative_attention else None,
    )


def build_pooler(config: DebertaV2Config, kind: Kind) -> FirstTokenPooler | None:
    """Composes the pooler of the classifiers; the bare encoder has none."""
    if not (kind.reads_sequence and kind.has_head):
        return None
    dense = nn.Linear(config.hidden_size, config.hidden_size)
    return FirstTokenPooler(
        dense=nn.Sequential(nn.Dropout(config.pooler_dropout), dense),
        activation=build_activation(config.pooler_hidden_act),
    )


def build_head(config: DebertaV2Config, kind: Kind) -> nn.Module:
    """Composes the head of a kind."""
    if kind is MASKED_LM:
        return build_masked_lm_head(config, activation=config.hidden_act, eps=config.layer_norm_eps)
    if kind is QUESTION_ANSWERING:
        return build_score_head(config, kind=kind, dropout=0.0)
    rate = config.cls_dropout if kind.reads_sequence else None
    return build_score_head(
        config, kind=kind, dropout=config.hidden_dropout_prob if rate is None else rate
    )


def _build_distances(config: DebertaV2Config) -> DistanceEmbeddings:
    size = config.hidden_size
    is_normed = config.norm_rel_ebd == "layer_norm"
    return DistanceEmbeddings(
        table=nn.Embedding(2 * config.num_distances, size),
        norm=nn.LayerNorm(size, eps=config.layer_norm_eps) if is_normed else nn.Identity(),
        max_distance=config.max_distance,
        is_logarithmic=config.position_buckets > 0,
    )


def _build_scores(config: DebertaV2Config) -> DisentangledScores | None:
    """Composes what one layer makes of distances; None where it makes nothing of them."""
    if not (config.relative_attention and config.score_terms):
        return None
    terms: dict[str, nn.Module] = {}
    for name, term in _TERMS.items():
        if name in config.score_terms:
            size = config.hidden_size
            projection = nn.Linear(size, config.attention_size)
            terms[name] = term(None if config.share_att_key else projection)
    return DisentangledScores(terms=terms, dropout=nn.Dropout(config.hidden_dropout_prob))


_TERMS = {"c2p": ContentToPosition, "p2c": PositionToContent}
_CLASSIFIER = {"pooler.dense.1": "pooler.dense", "head.output": "classifier"}
_LAYER = "encoder.layers.{i}."
_THEIRS = "encoder.layer.{i}."
NAMES = NameTable(
    prefix="deberta",
    body={
        "encoder.embeddings.word": "embeddings.word_embeddings",
        "encoder.embeddings.word.projection": "embeddings.embed_proj",
        "encoder.embeddings.position": "embeddings.position_embeddings",
        "encoder.embeddings.token_type": "embeddings.token_type_embeddings",
        "encoder.embeddings.norm": "embeddings.LayerNorm",
        "encoder.relative_positions.table": "encoder.rel_embeddings",
        "encoder.relative_positions.norm": "encoder.LayerNorm",
        f"{_LAYER}attention.query": f"{_THEIRS}attention.self.query_proj",
        f"{_LAYER}attention.key": f"{_THEIRS}attention.self.key_proj",
        f"{_LAYER}attention.value": f"{_THEIRS}attention.self.value_proj",
        f"{_LAYER}attention.relative.terms.c2p.projection": f"{_THEIRS}attention.self.pos_key_proj",
        f"{_LAYER}attention.relative.terms.p2c.projection": (
            f"{_THEIRS}attention.self.pos_query_proj"
        ),
        f"{_LAYER}attention.output": f"{_THEIRS}attention.output.dense",
        f"{_LAYER}attention_norm": f"{_THEIRS}attention.output.LayerNorm",
        f"{_LAYER}feed_forward.up": f"{_THEIRS}intermediate.dense",
        f"{_LAYER}feed_forward.down": f"{_THEIRS}output.dense",
        f"{_LAYER}feed_forward_norm": f"{_THEIRS}output.LayerNorm",
    },
    heads={
        MASKED_LM.name: {
            "head.transform.dense": "cls.predictions.transform.dense",
            "head.transform.norm": "cls.predictions.transform.LayerNorm",
            "head": "cls.predictions",
        },
        SEQUENCE_CLASSIFICATION.name: _CLASSIFIER,
        QUESTION_ANSWERING.name: {"head.output": "qa_outputs"},
        TOKEN_CLASSIFICATION.name: {"head.output": "classifier"},
        MULTIPLE_CHOICE.name: _CLASSIFIER,
    },
    # The head of v3's own pretraining, which tells replaced tokens.
    other_heads=frozenset(
        {"mask_predictions.dense", "mask_predictions.LayerNorm", "mask_predictions.classifier"}
    ),
    # v3's generator had absolute positions, which its discriminator's folder still holds.
    needless=frozenset({"encoder.embeddings.position"}),
    # What v3's discriminator learned on top of its generator's embeddings: `weight` is the sum.
    buffers=frozenset(
        {"embeddings.word_embeddings._weight", "embeddings.position_embeddings._weight"}
    ),
    # The masked-LM head as published; `transformers` means the same by `legacy: false`.
    aliases={
        "lm_predictions.lm_head": "cls.predictions",
        "lm_predictions.lm_head.dense": "cls.predictions.transform.dense",
        "lm_predictions.lm_head.LayerNorm": "cls.predictions.transform.LayerNorm",
    },
    tied={
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)
ARCHITECTURE = Architecture(
    class_prefix="DebertaV2",
    config_type=DebertaV2Config,
    names=NAMES,
    build_encoder=build_encoder,
    build_pooler=build_pooler,
    build_head=build_head,
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
