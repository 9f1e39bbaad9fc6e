"""From the hidden states of a text's tokens to one vector for the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.nn.constants import PoolingMode
from limbeck.nn.heads import MeanPooler
from limbeck.nn.precision import at_least_float32


class Pooling(nn.Module):
    """Makes one vector of each text; several modes give one after the other, joined.

    Vectors are float32 also where hidden states are in half precision.

    Args:
        modes: Which.

    Source:
        Reimers, Gurevych, "Sentence-BERT", EMNLP 2019, section 3: `cls`, `mean` and `max`;
        Muennighoff, "SGPT", 2022, section 3.1: `weightedmean` and `lasttoken`.
    """

    def __init__(self, modes: Sequence[PoolingMode]) -> None:
        super().__init__()
        self.modes = tuple(modes)

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *, num_left_out: int = 0
    ) -> Tensor:
        """Pools each row.

        Args:
            hidden: Hidden states.
            attention_mask: 1 where real; padding may stand on either side.
            num_left_out: How many tokens at the beginning of each text don't count, as those of an
                instruction before it.

        Shape:
            hidden: (batch, sequence, hidden_size).
            attention_mask: (batch, sequence) or (batch, sequence, sequence).
            result: (batch, number of modes x hidden_size).
        """
        if attention_mask is None:
            seen = hidden.new_ones(hidden.shape[:2], dtype=torch.long)
        else:
            seen = attention_mask if attention_mask.dim() == 2 else attention_mask.amax(dim=1)
            seen = seen.long()
        places = torch.arange(seen.shape[1], device=seen.device) - _find_first(seen)[:, None]
        counted = seen * (places >= num_left_out)
        states = at_least_float32(hidden)
        return torch.cat([_POOL[mode](states, counted, places) for mode in self.modes], dim=-1)


class DenseLayer(nn.Module):
    """A projection of vectors: a linear map, an activation, and the vectors themselves again.

    Args:
        in_features: Width of the vectors that come.
        out_features: Of those that go.
        bias: Whether the map has one.
        activation: After the map.
        use_residual: Whether the vectors are added to what comes out, by a map of their own where
            the widths differ.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: nn.Module,
        use_residual: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation = activation
        self.use_residual = use_residual
        if use_residual and in_features != out_features:
            self.residual = nn.Linear(in_features, out_features, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Projects each vector.

        Shape:
            vectors: (batch, in_features).
            result: (batch, out_features).
        """
        vectors = vectors.to(self.linear.weight.dtype)
        projected: Tensor = self.activation(self.linear(vectors))
        if self.use_residual:
            kept = self.residual(vectors) if hasattr(self, "residual") else vectors
            projected = projected + kept
        return projected


class Normalize(nn.Module):
    """Makes vectors one long."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Divides each vector by its length.

        Shape:
            vectors, result: (batch, width).
        """
        return F.normalize(at_least_float32(vectors), dim=-1)


def _cls(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:  # noqa: ARG001
    return _take(states, _find_first(mask))


def _last_token(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:  # noqa: ARG001
    here = torch.arange(mask.shape[1], device=mask.device)
    return _take(states, (mask * here).amax(dim=1))


def _find_first(mask: Tensor) -> Tensor:
    """Returns where the first token is that counts."""
    return mask.float().argmax(dim=1)  # LiteRT has no such step for whole numbers of 64 bits


def _take(states: Tensor, index: Tensor) -> Tensor:
    """Returns the state at one place of each row."""
    return states.gather(1, index[:, None, None].expand(-1, 1, states.shape[-1]))[:, 0]


def _max(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:  # noqa: ARG001
    return states.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)


def _mean(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:  # noqa: ARG001
    mean: Tensor = MeanPooler()(states, attention_mask=mask)
    return mean


def _mean_sqrt_len(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    """Returns sums divided by the root of the count: means, longer for longer texts."""
    return _mean(states, mask, places) * mask.sum(dim=1, keepdim=True).to(states.dtype).sqrt()


def _weighted_mean(states: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    """Returns means in which the first token counts once, the second twice, and so on."""
    weights = (mask * (places + 1)).to(states.dtype)[..., None]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


_POOL: Final[dict[PoolingMode, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}
