"""How far pruning is at a step: a pure function, so that a resumed run prunes as one left alone."""

from __future__ import annotations


def share_left(
    step: int, num_steps: int, *, warmup_ratio: float, cooldown_ratio: float, power: int = 3
) -> float:
    """Returns how much of the way from dense to the goal is left: 1 at first, 0 in the end.

    Args:
        step: Steps made.
        num_steps: Steps of the whole run.
        warmup_ratio: Share of the run in which nothing is pruned.
        cooldown_ratio: Share at its end in which the goal is reached already.
        power: How much faster it falls at first than in the end; by default the article's.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, equation 1; so in Sanh et al., "Movement
        Pruning", NeurIPS 2020, section 5.

    Example:
        >>> ratios = {"warmup_ratio": 0.2, "cooldown_ratio": 0.4}
        >>> [share_left(step, 10, **ratios) for step in (0, 2, 4, 6, 10)]
        [1.0, 1.0, 0.125, 0.0, 0.0]
    """
    begin, end = warmup_ratio * num_steps, (1 - cooldown_ratio) * num_steps
    if step >= min(end, num_steps):
        return 0.0
    if step <= begin:
        return 1.0
    return (1 - (step - begin) / (end - begin)) ** power
