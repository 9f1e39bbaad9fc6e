"""Parts of families that this library does not ship yet, written as their families would."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limbeck.nn import Embeddings, EncoderLayer, FeedForward, SelfAttention

SIZE = 16
EXACT = {"rtol": 0.0, "atol": 1e-9}
COLLECT = {"hidden_states", "attentions"}


def build_embeddings(size=SIZE, *, num_positions=40, token_types=2, eps=1e-3):
    return Embeddings(
        word=nn.Embedding(50, size),
        position=nn.Embedding(num_positions, size) if num_positions else None,
        token_type=nn.Embedding(token_types, size) if token_types else None,
        norm=nn.LayerNorm(size, eps=eps),
        dropout=nn.Identity(),
    )


def build_layer(
    layer_type=EncoderLayer,
    *,
    num_heads=4,
    head_size=None,
    width=24,
    activation=None,
    **attention,
):
    return layer_type(
        attention=SelfAttention(
            SIZE, num_heads=num_heads, dropout=0.0, head_size=head_size, **attention
        ),
        attention_dropout=nn.Identity(),
        attention_norm=nn.LayerNorm(SIZE, eps=1e-3),
        feed_forward=FeedForward(SIZE, intermediate_size=width, activation=activation or nn.GELU()),
        feed_forward_dropout=nn.Identity(),
        feed_forward_norm=nn.LayerNorm(SIZE, eps=1e-3),
    )


class BucketBias(nn.Module):
    """A learned number for each head and bucket of distances: T5, MPNet.

    Source: Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 2.1.
    """

    def __init__(self, num_buckets: int, num_heads: int, *, max_distance: int = 128) -> None:
        super().__init__()
        self.table = nn.Embedding(num_buckets, num_heads)
        self.max_distance = max_distance

    def forward(self, hidden: Tensor) -> Tensor:
        places = torch.arange(hidden.shape[1], device=hidden.device)
        ahead = places[None, :] - places[:, None]
        half = self.table.num_embeddings // 2
        exact = half // 2
        far = exact + (
            torch.log(ahead.abs().clamp(min=1).float() / exact)
            / math.log(self.max_distance / exact)
            * (half - exact)
        ).long().clamp(max=half - exact - 1)
        bucket = torch.where(ahead.abs() < exact, ahead.abs(), far) + (ahead > 0) * half
        return self.table(bucket).permute(2, 0, 1)[None]


class RelativeEmbeddings(nn.Module):
    """Vectors for distances, which every layer projects with its own queries and keys.

    Source: He et al. 2021, https://arxiv.org/abs/2006.03654, section 3.1.
    """

    def __init__(self, max_distance: int) -> None:
        super().__init__()
        self.table = nn.Embedding(2 * max_distance, SIZE)
        self.norm = nn.LayerNorm(SIZE, eps=1e-3)

    def forward(self, _hidden: Tensor) -> Tensor:
        return self.norm(self.table.weight)


class DisentangledScores(nn.Module):
    """Content to position and position to content, with the layer's own projections."""

    def forward(
        self, attention: SelfAttention, query: Tensor, key: Tensor, positions: Tensor
    ) -> Tensor:
        span = positions.shape[0] // 2
        places = torch.arange(query.shape[-2], device=query.device)
        back = places[:, None] - places[None, :]
        index = (back + span).clamp(0, 2 * span - 1).expand(*query.shape[:2], -1, -1)
        far_keys = attention.split_heads(attention.key(positions))
        far_queries = attention.split_heads(attention.query(positions))
        to_position = (query @ far_keys.mT).gather(-1, index)
        to_content = (key @ far_queries.mT).gather(-1, index.mT).mT
        return (to_position + to_content) * attention.scale


def drawn(module: nn.Module) -> nn.Module:
    """In float64, with weights, biases and norms drawn wide, so that nothing is lost in them."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


def make_batch(rows=3, length=11):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 50, (rows, length), generator=generator)
    mask = (torch.arange(length) < torch.tensor([[length], [4], [8]])[:rows]).long()
    return ids, mask
