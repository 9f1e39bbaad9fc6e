"""Successive halving towards a contract: which students begin, which go on, which may still do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_MOST_HALVINGS = 3
"""After less than an eighth of its steps a student is hardly warmed up."""
_SLACK = 0.5
"""Of what is expected to be lacking at the end: a student is given up where even half of it would
be too much."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A student, and what it scored on the way.

    Attributes:
        name: The student's.
        cost: What it takes at best, of what is to be small.
        scores: By the share of its training: 0 as it begins, 1 at its end.
        kin: Of several that differ in nothing but their vocabulary the common name.
    """

    name: str
    cost: float
    scores: Mapping[float, float]
    kin: str = ""

    @property
    def share(self) -> float:
        """How far it was trained."""
        return max(self.scores, default=0.0)

    @property
    def score(self) -> float | None:
        """What it scored last; None where nothing is known yet."""
        return self.scores.get(self.share)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The scores that count.

    Attributes:
        teacher: The teacher's.
        enough: What the contract asks for.
    """

    teacher: float
    enough: float


def list_shares(number: int) -> tuple[float, ...]:
    """Returns the shares of a training after each of which half of some students go on.

    Example:
        >>> list_shares(1), list_shares(3), list_shares(4), list_shares(40)
        ((), (0.5,), (0.25, 0.5), (0.125, 0.25, 0.5))
    """
    halvings = min(int(math.log2(max(number, 1))), _MOST_HALVINGS)
    return tuple(0.5**i for i in range(halvings, 0, -1))


def drop_outdone(trials: Iterable[Trial]) -> list[Trial]:
    """Returns those that begin: not what a cheaper one outdoes before any training.

    Of two that differ in nothing but their vocabulary the dearer one has to be better: as good
    means that it reads nothing that the other lacks.

    Example:
        >>> whole = Trial(name="4 layers", cost=40, scores={0.0: 0.7})
        >>> half = Trial(name="8 layers, 0.5 wide", cost=30, scores={0.0: 0.8})
        >>> [trial.name for trial in drop_outdone([whole, half])]
        ['8 layers, 0.5 wide']
        >>> small = Trial(name="4 layers, trimmed", cost=20, scores={0.0: 0.7}, kin="4 layers")
        >>> large = Trial(name="4 layers", cost=40, scores={0.0: 0.7}, kin="4 layers")
        >>> [trial.name for trial in drop_outdone([large, small])]
        ['4 layers, trimmed']
    """
    best, best_of_kin, kept = -math.inf, dict[str, float](), []
    for trial in sorted(trials, key=lambda trial: trial.cost):
        score = trial.scores.get(0.0)
        if score is None:
            kept.append(trial)
            continue
        of_kin = best_of_kin.get(trial.kin, -math.inf) if trial.kin else -math.inf
        if score >= best and score > of_kin:
            kept.append(trial)
        best, best_of_kin[trial.kin] = max(best, score), max(of_kin, score)
    return kept


def choose_half(trials: Sequence[Trial], *, enough: float) -> list[Trial]:
    """Returns the half that goes on: the best, but for what a cheaper one makes needless.

    What costs more than one that scores enough already can't be preferred to it.

    Args:
        trials: All after the same share of their training.
        enough: The score that is asked for.

    Example:
        >>> costs, scores = {"8": 8, "6": 6, "4": 4, "3": 3}, {"8": 90, "6": 88, "4": 80, "3": 60}
        >>> four = [Trial(name=n, cost=costs[n], scores={0.5: scores[n]}) for n in costs]
        >>> [trial.name for trial in choose_half(four, enough=85)]
        ['6', '4']
        >>> [trial.name for trial in choose_half(four, enough=95)]
        ['8', '6']
    """
    cheapest = find_cheapest(trials, enough=enough)
    left = [trial for trial in trials if trial.cost <= cheapest]
    left.sort(key=lambda trial: -math.inf if trial.score is None else trial.score, reverse=True)
    return left[: math.ceil(len(trials) / 2)]


def find_cheapest(trials: Iterable[Trial], *, enough: float) -> float:
    """Returns the least cost of what scores enough; infinity where nothing does."""
    good = (t.cost for t in trials if t.score is not None and t.score >= enough)
    return min(good, default=math.inf)


def expect(
    trial: Trial, finished: Iterable[Trial], goal: Goal, *, slack: float = 0.0
) -> float | None:
    """Returns what a student would score at its end, as those that were trained to theirs.

    Of what it lacks of the teacher's score it makes up as large a share as the one that made up
    the most from the same point on.

    Args:
        trial: The student.
        finished: Those that were trained to the end.
        goal: The scores that count.
        slack: Share of what would be lacking then that is made up too, for the best case.

    Returns:
        None where nothing tells.

    Example:
        >>> three = Trial(name="3", cost=3, scores={0.5: 60})
        >>> six = Trial(name="6", cost=6, scores={0.5: 86, 1.0: 88})
        >>> goal = Goal(teacher=90, enough=85)
        >>> expect(three, [six], goal), expect(three, [six], goal, slack=0.5)
        (75.0, 82.5)
    """
    teacher = goal.teacher
    if trial.score is None:
        return None
    lacking = [
        (teacher - other.scores[1.0]) / (teacher - other.scores[trial.share])
        for other in finished
        if trial.share in other.scores and other.scores[trial.share] < teacher
    ]
    if not lacking:
        return None
    left = min(max(min(lacking), 0.0), 1.0)
    return teacher - max(teacher - trial.score, 0.0) * left * (1 - slack)


def may_do(trial: Trial, finished: Sequence[Trial], goal: Goal) -> bool:
    """Tells whether a student may score enough at its end; true where nothing tells.

    One that is at its end is looked at in any case: nothing is left to be saved.
    """
    most = expect(trial, finished, goal, slack=_SLACK)
    return most is None or most >= goal.enough or trial.share == 1


def rank(trial: Trial, finished: Sequence[Trial], goal: Goal) -> tuple[bool, float]:
    """Returns what is least in the student to train next.

    Of those that are expected to be enough the cheapest, then the one that comes nearest.
    """
    found = expect(trial, finished, goal)
    score = trial.score if found is None else found
    if score is None or score >= goal.enough:
        return False, trial.cost
    return True, -score
