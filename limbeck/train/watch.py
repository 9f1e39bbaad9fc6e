"""Shows a run's steps as progress: share done, loss, tokens per second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from limbeck.train.budget import Budget
from limbeck.train.loop import Step, TrainState
from limbeck.train.progress import Progress, Stage


class StepWatch:
    """Advances a progress stage with each step."""

    def __init__(self, stage: Stage, *, budget: Budget, start: TrainState) -> None:
        self._stage = stage
        self._budget = budget
        self._seconds = start.elapsed_seconds
        self._done = 0.0
        self._tokens_per_second = 0.0
        self._advance_to(start.step, start.elapsed_seconds)

    def show(self, step: Step) -> None:
        """Shows one more step."""
        seconds = max(step.elapsed_seconds - self._seconds, 1e-9)
        self._seconds = step.elapsed_seconds
        rate = step.num_tokens / seconds
        # A moving average: single steps vary with the length of their texts.
        old = self._tokens_per_second or rate
        self._tokens_per_second = 0.9 * old + 0.1 * rate
        self._advance_to(step.number, step.elapsed_seconds)
        self._stage.update(
            step=step.number, loss=step.loss, tokens_per_second=self._tokens_per_second
        )

    def _advance_to(self, step: int, seconds: float) -> None:
        done = {"s": seconds, "steps": step, "%": 100 * self._budget.share_done(step, seconds)}
        now = float(done[_unit_of(self._budget)])
        self._stage.advance(now - self._done)
        self._done = now


@contextmanager
def watch_steps(
    progress: Progress,
    description: str,
    *,
    budget: Budget,
    start: TrainState,
) -> Iterator[StepWatch]:
    """Opens a progress stage over a run, in the unit that bounds it; in percent where both do."""
    unit = _unit_of(budget)
    totals = {"s": 60 * (budget.max_minutes or 0), "steps": budget.max_steps, "%": 100}
    with progress.stage(description, total=totals[unit], unit=unit) as stage:
        yield StepWatch(stage, budget=budget, start=start)


def _unit_of(budget: Budget) -> str:
    if budget.max_minutes is None:
        return "steps"
    return "s" if budget.max_steps is None else "%"
