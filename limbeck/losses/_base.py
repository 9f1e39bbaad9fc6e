"""What every loss has: a weight, the positions it runs over, and a sum over rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from limbeck import listing
from limbeck.config import Settings

Positions = Literal["masked", "real"]
Needs = Literal["logits", "last_hidden_state", "hidden_states", "attention_scores"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What two models say at the same positions.

    Shape:
        student: (rows, width), width being the vocabulary for logits, the hidden size for
            hidden states, heads times keys for attention scores.
        teacher: (rows, width), or None for a loss that needs no teacher.
        labels: (rows,) original ids, IGNORE_INDEX where there is none.
    """

    student: Tensor
    teacher: Tensor | None
    labels: Tensor


class Loss(Settings):
    """Base of the losses; a subclass stands in a module of its own under the name `Loss`."""

    needs: ClassVar[Needs]
    """Which output of the models the rows hold."""
    uses_teacher: ClassVar[bool] = True

    weight: float = Field(default=1.0, gt=0)
    """What the mean over rows is multiplied by in the total. To drop a loss, leave it out."""
    positions: Positions = "masked"
    """`masked`: only positions that carry a label; `real`: every position that is not padding."""

    @abstractmethod
    def sum(self, rows: Rows) -> Tensor:
        """Returns the unweighted sum over rows, a scalar with gradient."""


def build_loss(name: str, values: Mapping[str, Any]) -> Loss:
    """Makes the loss of a name from its settings.

    Raises:
        SettingsError: If there is no such loss, or a setting is wrong.
    """
    loss_class: type[Loss] = listing.load("limbeck.losses", name).Loss
    return loss_class.from_values(dict(values), where=f"losses.{name}")
