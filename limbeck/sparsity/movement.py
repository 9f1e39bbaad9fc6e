"""Movement pruning: the weights that fine-tuning moves away from zero stay.

M = Top_v(S), with scores S that start at 0 and learn by dL/dS = dL/dW' * W: after some steps of
plain gradient descent S = -rate * sum of dL/dW' * W. Nothing is added to the loss.

Source:
    Sanh et al., "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020, section 4.
    BERT-base on SQuAD, 10 % of the weights, with a teacher: F1 84.3, by magnitude 80.1, of 88.1.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from limbeck.sparsity._mask import MaskedLinear
from limbeck.sparsity._settings import CountedSettings, scores_of


class MovementSettings(CountedSettings):
    """Settings of `movement`."""

    start: ClassVar[float | None] = 0.0

    method: Literal["movement"] = "movement"
    learning_rate: float = Field(default=1e-2, gt=0, allow_inf_nan=False)
    """Peak learning rate of the scores, on the schedule of the run; by default the article's."""

    @property
    def rate_of_scores(self) -> float | None:
        """Peak learning rate of the scores."""
        return self.learning_rate

    def rate(self, layer: MaskedLinear) -> Tensor:
        """Returns the scores."""
        return scores_of(layer)


SettingsType = MovementSettings
