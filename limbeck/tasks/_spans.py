"""The best answer spans of a window, from the logits of start and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` to `end`, both inside, and the sum of their logits."""

    start: int
    end: int
    score: float


def best_spans(
    start: npt.NDArray[np.float32],
    end: npt.NDArray[np.float32],
    *,
    first: int,
    last: int,
    max_tokens: int,
    count: int,
) -> list[Span]:
    """Returns the spans with the highest start + end logit, the best first.

    Every span of the allowed lengths is looked at, not only combinations of likely ends.

    Args:
        start: Logits of the start, (tokens,).
        end: Logits of the end, (tokens,).
        first: First token of the context.
        last: Last token of the context.
        max_tokens: Longest span.
        count: Most spans to return.
    """
    starts, ends = start[first : last + 1], end[first : last + 1]
    width = min(max_tokens, len(starts))
    padded = np.concatenate([ends, np.full(width - 1, -np.inf, dtype=ends.dtype)])
    scores = starts[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = scores.ravel()
    chosen = np.argpartition(-flat, min(count, flat.size) - 1)[:count]
    chosen = chosen[np.argsort(-flat[chosen], kind="stable")]
    return [
        Span(first + place, first + place + length, float(flat[i]))
        for i, place, length in zip(
            chosen.tolist(), (chosen // width).tolist(), (chosen % width).tolist(), strict=True
        )
        if np.isfinite(flat[i])
    ]
