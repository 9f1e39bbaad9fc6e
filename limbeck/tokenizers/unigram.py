"""Training a Unigram vocabulary, the same each time.

The trainer of the `tokenizers` library adds up in the order of a randomly seeded hash table, so
that its scores differ by a hundredth from run to run, and pieces with them.

Source:
    Kudo 2018, "Subword regularization", section 3.2.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

_LONGEST = 16
"""Characters of a piece, the mark of a word's beginning included."""
_SEEDS_A_PIECE = 10
"""Pieces to choose from at first, for each that stays."""
_KEPT_A_ROUND = 0.75
_ENOUGH = 1.1
"""Rounds end when so many times the wanted number are left; of these the likeliest stay."""
_LEAST_EXPECTED = 0.5
_MOST_WORDS = 200_000
"""Different words that are looked at, the most frequent ones."""

Scores = dict[str, float]
Words = Sequence[tuple[str, int]]


def learn_pieces(
    counts: Mapping[str, int], *, num_pieces: int, characters: Collection[str], min_frequency: int
) -> Scores:
    """Returns pieces with the logarithm of their probability, the likeliest first.

    Args:
        counts: How often each word occurs, with the mark of its beginning.
        num_pieces: How many pieces to keep, the characters included.
        characters: Pieces of one character, which all stay.
        min_frequency: How often a longer piece must occur.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = ranked[:_MOST_WORDS]
    characters = set(characters)
    most = max(math.ceil(_ENOUGH * num_pieces), len(characters))
    scores = _seed(words, characters, num_pieces=num_pieces, min_frequency=min_frequency)
    while True:
        for _ in range(2):
            scores = _maximise(_expect(words, scores), scores, characters)
        if len(scores) <= most:
            break
        scores = _prune(words, scores, characters, least=most)
    longer = sorted((p for p in scores if len(p) > 1), key=lambda p: (-scores[p], p))
    kept = {*characters, *longer[: num_pieces - len(characters)]}
    return {p: round(scores[p], 6) for p in sorted(kept, key=lambda p: (-scores[p], p))}


def _seed(words: Words, characters: set[str], *, num_pieces: int, min_frequency: int) -> Scores:
    """Returns all characters, and the parts of words that cover most text."""
    counts: Counter[str] = Counter()
    for word, count in words:
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + _LONGEST) + 1):
                counts[word[start:end]] += count
    longer = [
        p
        for p, n in counts.items()
        if n >= min_frequency and len(p) > 1 and characters.issuperset(p)
    ]
    longer.sort(key=lambda piece: (-counts[piece] * len(piece), piece))
    seeds = [*sorted(characters), *longer[: _SEEDS_A_PIECE * num_pieces]]
    weights = {piece: max(counts[piece], 1) * len(piece) for piece in seeds}
    total = math.log(sum(weights.values()))
    return {piece: math.log(weight) - total for piece, weight in weights.items()}


def _edges(word: str, scores: Scores) -> Iterator[tuple[int, int, float]]:
    """Yields where pieces begin and end in a word, and their scores, by their beginnings."""
    for start in range(len(word)):
        for end in range(start + 1, min(len(word), start + _LONGEST) + 1):
            score = scores.get(word[start:end])
            if score is not None:
                yield start, end, score


def _expect(words: Words, scores: Scores) -> Mapping[str, float]:
    """Returns how often each piece is expected, over all ways to divide the words."""
    expected: defaultdict[str, float] = defaultdict(float)
    for word, count in words:
        edges = list(_edges(word, scores))
        ahead = [1.0] + [0.0] * len(word)
        for start, end, score in edges:
            ahead[end] += ahead[start] * math.exp(score)
        if not ahead[-1]:
            continue  # a character that is no piece, or a word too long for its probability
        behind = [0.0] * len(word) + [1.0]
        for start, end, score in reversed(edges):
            behind[start] += behind[end] * math.exp(score)
        for start, end, score in edges:
            share = ahead[start] * math.exp(score) * behind[end] / ahead[-1]
            expected[word[start:end]] += count * share
    return expected


def _maximise(expected: Mapping[str, float], scores: Scores, characters: Collection[str]) -> Scores:
    kept = {
        piece: max(expected.get(piece, 0.0), _LEAST_EXPECTED)
        for piece in scores
        if expected.get(piece, 0.0) >= _LEAST_EXPECTED or piece in characters
    }
    total = math.log(sum(kept.values()))
    return {piece: math.log(count) - total for piece, count in kept.items()}


def _prune(words: Words, scores: Scores, characters: Collection[str], *, least: int) -> Scores:
    """Leaves out those pieces without which the words would be hardly less likely."""
    used: Counter[str] = Counter()
    for word, count in words:
        for piece in _divide(word, scores) or ():
            used[piece] += count
    total = sum(used.values())
    losses = {}
    for piece in scores:
        if piece in characters:
            continue
        others = _divide(piece, scores, without=piece)
        if others is None:
            losses[piece] = math.inf
        elif used[piece]:
            count = used[piece]
            alone = math.log(count / total)
            grown = math.log(total + count * (len(others) - 1))
            apart = sum(math.log(used[other] + count) - grown for other in others)
            losses[piece] = count * (alone - apart)
    size = max(int(_KEPT_A_ROUND * len(scores)), least) - len(characters)
    ranked = sorted(losses, key=lambda piece: (-losses[piece], piece))
    return {p: scores[p] for p in [*sorted(characters), *ranked[: max(size, 0)]]}


def _divide(word: str, scores: Scores, *, without: str | None = None) -> list[str] | None:
    """Returns the likeliest pieces of a word; None if there are none."""
    best = [0.0] + [-math.inf] * len(word)
    origin = [0] * (len(word) + 1)
    for start, end, score in _edges(word, scores):
        if best[start] + score > best[end] and word[start:end] != without:
            best[end], origin[end] = best[start] + score, start
    if best[-1] == -math.inf:
        return None
    pieces: list[str] = []
    end = len(word)
    while end:
        pieces.append(word[origin[end] : end])
        end = origin[end]
    return pieces[::-1]
