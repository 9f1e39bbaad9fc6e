"""The learning rate as a function of the share of the run that is done."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from limbeck.config import Settings


class Schedule(Settings):
    """Warm-up from zero to the peak, then decay.

    Example:
        >>> schedule = Schedule(decay="linear", warmup_ratio=0.1)
        >>> [round(schedule.factor(done), 2) for done in (0.05, 0.1, 0.55, 1.0)]
        [0.5, 1.0, 0.5, 0.0]
    """

    decay: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after the warm-up: down to zero in a line or a half cosine, or no decay."""
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    """Share of the run over which the learning rate rises from zero to its peak."""

    @property
    def fits_any_length(self) -> bool:
        """Whether a step has the same rate however long the run is."""
        return self.decay == "constant" and self.warmup_ratio == 0

    def factor(self, progress: float) -> float:
        """Returns what the peak learning rate is multiplied by.

        Args:
            progress: Share of the run that is done, 0 to 1.
        """
        if progress < self.warmup_ratio:
            return progress / self.warmup_ratio
        if self.decay == "constant":
            return 1.0
        left = (1 - min(progress, 1.0)) / (1 - self.warmup_ratio)
        return left if self.decay == "linear" else 0.5 * (1 - math.cos(math.pi * left))
