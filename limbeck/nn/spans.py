"""The best answers in a text, from the logits of start and end in each of its windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Place = tuple[int, int]
"""First character and the one after the last."""


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


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """A window of a text, as a question-answering head sees it.

    Attributes:
        start: Logits of the start, (tokens,), the first of them that of "no answer".
        end: Logits of the end, (tokens,), likewise.
        offsets: For each token the place of an answer that is this token alone.
        first: First token of the text.
        last: Last token of the text; below `first` if it has none.
    """

    start: npt.NDArray[np.float32]
    end: npt.NDArray[np.float32]
    offsets: Sequence[Place]
    first: int
    last: int

    @property
    def null_score(self) -> float:
        """Sum of the logits of "no answer"."""
        return float(self.start[0] + self.end[0])


def rank_answers(
    windows: Sequence[ScoredWindow], *, max_tokens: int, count: int
) -> list[tuple[Place, float]]:
    """Returns the places of a text's best answers with their scores, the best first.

    A place has the highest score that a window gives it.

    Args:
        windows: All windows of the text.
        max_tokens: Longest answer.
        count: Most answers that one window adds.
    """
    answers: dict[Place, float] = {}
    for window in windows:
        if window.last < window.first:
            continue
        spans = best_spans(
            window.start,
            window.end,
            first=window.first,
            last=window.last,
            max_tokens=max_tokens,
            count=count,
        )
        for span in spans:
            place = (window.offsets[span.start][0], window.offsets[span.end][1])
            answers[place] = max(span.score, answers.get(place, -math.inf))
    return sorted(answers.items(), key=lambda answer: -answer[1])
