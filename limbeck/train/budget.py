"""How long a run may last, in steps, in minutes, or whichever is reached first."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Ends a run and tells how much of it is done.

    A run bounded by steps alone is reproducible to the bit; one bounded by minutes follows the
    clock, so its learning rates differ from machine to machine.

    Attributes:
        max_steps: Optimiser steps, or None for no bound.
        max_minutes: Minutes of training, those before a resume included, or None for no bound.

    Raises:
        SettingsError: If neither bound is given, or one is not positive.
    """

    max_steps: int | None = None
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.max_steps is None and self.max_minutes is None:
            raise SettingsError("a run needs an end: give max_steps, max_minutes or both")
        for name in ("max_steps", "max_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"{name} = {value}: must be greater than 0")

    def progress(self, step: int, elapsed_seconds: float) -> float:
        """Returns the share of the run at which step `step` stands.

        Args:
            step: The step about to be made, from 0. Counted in steps both ends of the range are
                left out, so that neither the first nor the last has a learning rate of zero.
            elapsed_seconds: Training time so far. Counted in time alone the first step stands at
                0, since nothing is known yet of how long a step takes.
        """
        shares = [0.0]
        if self.max_steps is not None:
            shares.append((step + 1) / (self.max_steps + 1))
        if self.max_minutes is not None:
            shares.append(min(elapsed_seconds / (60 * self.max_minutes), 1.0))
        return max(shares)

    def is_spent(self, step: int, elapsed_seconds: float) -> bool:
        """Tells whether the run ends before step `step` (from 0)."""
        out_of_steps = self.max_steps is not None and step >= self.max_steps
        out_of_time = self.max_minutes is not None and elapsed_seconds >= 60 * self.max_minutes
        return out_of_steps or out_of_time

    def share_done(self, steps: int, elapsed_seconds: float) -> float:
        """Returns the share of the run that is made, 0 to 1: in steps or time, the larger one."""
        of_steps = 0.0 if self.max_steps is None else steps / self.max_steps
        of_time = 0.0 if self.max_minutes is None else elapsed_seconds / (60 * self.max_minutes)
        return min(max(of_steps, of_time), 1.0)
