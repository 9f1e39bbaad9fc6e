"""From labels of tokens to entities, by the rules of `transformers.pipeline`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np

from limbeck.inference._base import FloatArray

Strategy = Literal["none", "simple", "first", "average", "max"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

Entity = dict[str, Any]
Join = Callable[[list[str]], str]
"""Makes a text of pieces."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of a text.

    Attributes:
        text: Its spelling in the vocabulary, or in the text if it is unknown.
        scores: Probability of each label, (labels,).
        start: Its first character.
        end: The one after its last.
        index: Its number, where the first token, [CLS] in BERT, is 0.
        word: The number of the word that it is a piece of.
    """

    text: str
    scores: FloatArray
    start: int
    end: int
    index: int
    word: int


def find_entities(
    pieces: Sequence[Piece], *, strategy: Strategy, labels: Mapping[int, str], join: Join
) -> list[Entity]:
    """Returns the tokens of a text with their labels, or what they make together.

    Args:
        pieces: All tokens of the text, in order.
        strategy: `none` gives tokens; `simple` joins neighbours of one type; the others first give
            each word one label: that of its first token, of the mean over its tokens, or of the
            token that is most certain.
        labels: Each label's name.
        join: Makes a text of pieces.
    """
    if strategy == "none":
        return [
            {**_best(piece.scores, labels), "index": piece.index, **_place([piece], piece.text)}
            for piece in pieces
        ]
    if strategy == "simple":
        units = [{**_best(piece.scores, labels), **_place([piece], piece.text)} for piece in pieces]
    else:
        units = []
        for _, group in groupby(pieces, key=lambda piece: piece.word):
            word = list(group)
            text = join([piece.text for piece in word])
            units.append({**_best(_vote(word, strategy), labels), **_place(word, text)})
    return [_merge(run, join) for run in _runs(units)]


def _best(scores: FloatArray, labels: Mapping[int, str]) -> Entity:
    label = int(scores.argmax())
    return {"entity": labels[label], "score": float(scores[label])}


def _place(pieces: Sequence[Piece], text: str) -> Entity:
    return {"word": text, "start": pieces[0].start, "end": pieces[-1].end}


def _vote(word: Sequence[Piece], strategy: Strategy) -> FloatArray:
    """Returns the scores that stand for a word."""
    if strategy == "first":
        return word[0].scores
    if strategy == "max":
        return max((piece.scores for piece in word), key=lambda scores: float(scores.max()))
    average: FloatArray = np.mean([piece.scores for piece in word], axis=0)
    return average


def _runs(units: Iterable[Entity]) -> Iterator[list[Entity]]:
    """Yields neighbours of one type; one whose label begins with B starts a new run."""
    run: list[Entity] = []
    for unit in units:
        begins, kind = _read_tag(unit["entity"])
        if run and (begins or kind != _read_tag(run[-1]["entity"])[1]):
            yield run
            run = []
        run.append(unit)
    if run:
        yield run


def _read_tag(label: str) -> tuple[bool, str]:
    """Returns whether an entity begins with this label, and its type.

    Example:
        >>> _read_tag("B-PER"), _read_tag("I-PER"), _read_tag("PER")
        ((True, 'PER'), (False, 'PER'), (False, 'PER'))
    """
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _merge(run: Sequence[Entity], join: Join) -> Entity:
    return {
        "entity_group": run[0]["entity"].split("-", 1)[-1],
        "score": sum(unit["score"] for unit in run) / len(run),
        "word": join([unit["word"] for unit in run]),
        "start": run[0]["start"],
        "end": run[-1]["end"],
    }
