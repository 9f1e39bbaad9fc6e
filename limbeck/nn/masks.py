"""Who sees whom: masks that are added to attention scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Added to the scores of keys that must not be seen. Far below any real score, so that its
# exponential is 0 in every floating-point type, yet finite in all of them (float16 ends at
# -65504): a row without a visible key stays a number, and exported float16 graphs hold no infinity.
MASKED_SCORE = -30000.0


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many tokens back and ahead a layer's attention sees, beside the token itself.

    `Reach(ahead=0)` is causal, `Reach(back=64, ahead=64)` a local window of 129 tokens.
    """

    back: int | None = None
    """None: up to the first token."""
    ahead: int | None = None
    """None: up to the last token."""


def additive_mask(attention_mask: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Turns a 1/0 mask into the float mask that is added to the attention scores.

    Args:
        attention_mask: 1 where a key may be seen, 0 elsewhere.
        dtype: Floating-point type of the result.

    Shape:
        attention_mask: (batch, keys), the same for every query, or (batch, queries, keys).
        result: (batch, 1, 1, keys) or (batch, 1, queries, keys).
    """
    hidden = (1.0 - attention_mask.to(dtype)) * MASKED_SCORE
    return hidden[:, None, None, :] if attention_mask.dim() == 2 else hidden[:, None, :, :]


def reach_mask(reach: Reach, length: int, *, like: Tensor) -> Tensor:
    """Returns the mask of what a layer with this reach does not see.

    Args:
        reach: How far it sees.
        length: Number of tokens.
        like: Gives the type and device of the result.

    Shape:
        result: (1, 1, length, length), 0 or `MASKED_SCORE`.
    """
    places = torch.arange(length, device=like.device)
    ahead = places[None, :] - places[:, None]
    is_visible = torch.ones_like(ahead, dtype=torch.bool)
    if reach.back is not None:
        is_visible = is_visible.logical_and(ahead >= -reach.back)
    if reach.ahead is not None:
        is_visible = is_visible.logical_and(ahead <= reach.ahead)
    return additive_mask(is_visible[None], dtype=like.dtype)


def combine_masks(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Returns the mask that hides what either hides; their sum would overflow in float16."""
    if first is None or second is None:
        return second if first is None else first
    return torch.minimum(first, second)
