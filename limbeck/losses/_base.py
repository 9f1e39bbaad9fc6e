"""What every loss has: a weight, the positions it runs over, and a module that it builds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import listing
from limbeck.config import Settings, read_options
from limbeck.errors import SettingsError
from limbeck.losses._views import Compared, View
from limbeck.models import ModelConfig

Positions = Literal["masked", "real"]
LayerPairs: TypeAlias = tuple[tuple[int, int], ...]
"""The student's layers, each with the teacher's that it is compared with, counted from 1; 0 are the
embeddings."""


class Loss(Settings):
    """Base of the losses; a subclass stands in a module of its own under the name `Loss`."""

    needs: ClassVar[frozenset[View]]
    """Which outputs of both models it sees. A loss on logits sees nothing else, since it runs
    chunk by chunk."""
    uses_teacher: ClassVar[bool] = True
    language_model: ClassVar[str | None] = None
    """Which kind of language model learns by it, where that is but one."""
    recipe: ClassVar[str | None] = None
    """The only recipe that learns by it: the batches of others hold nothing that it compares."""

    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """What the mean over rows is multiplied by in the total. To drop a loss, leave it out."""
    positions: Positions = "masked"
    """`masked`: only positions that carry a label, which are the masked tokens, or in causal models
    all with a token after them; `real`: every position that is not padding."""

    @property
    def counts_texts(self) -> bool:
        """Whether its rows are whole texts, and not tokens."""
        return "pooled" in self.needs

    @property
    def name(self) -> str:
        """What settings call it: the name of its file."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        """Makes what computes the loss between two models, with its parameters if it has any.

        Args:
            student: The student's configuration.
            teacher: The teacher's; None only for a loss that uses no teacher.

        Returns:
            A module from `Compared` to the unweighted sum over rows, a scalar with gradient.
            Its parameters are trained beside the student's and belong to no saved model.

        Raises:
            SettingsError: If the loss can't compare these two models.
        """

    def pair_layers(
        self,
        num_student_layers: int,  # noqa: ARG002
        num_teacher_layers: int,  # noqa: ARG002
    ) -> LayerPairs | None:
        """Returns the layers whose views are compared; of the others, nothing is kept or shown.

        None sees those of all layers of both models.

        Raises:
            SettingsError: If the settings name a layer that there is not.
        """
        return None


class PlainLoss(Loss):
    """Base of the losses without parameters, which are a formula."""

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:  # noqa: ARG002
        """Makes a module of the formula; a loss that not all models fit checks them first."""
        return Formula(self.sum)

    @abstractmethod
    def sum(self, seen: Compared) -> Tensor:
        """Returns the unweighted sum over rows, a scalar with gradient."""


class Formula(nn.Module):
    """A formula without parameters as the module that `Loss.build` makes."""

    def __init__(self, formula: Callable[[Compared], Tensor]) -> None:
        super().__init__()
        self._formula = formula

    def forward(self, seen: Compared) -> Tensor:
        """Returns the unweighted sum over rows, a scalar with gradient."""
        return self._formula(seen)


def build_loss(name: str, values: Mapping[str, Any]) -> Loss:
    """Reads the loss of a name from its settings.

    Raises:
        SettingsError: If there is no such loss, or a setting is wrong.
    """
    loss_class: type[Loss] = listing.load("limbeck.losses", name).Loss
    return read_options(loss_class, values, name=f"losses.{name}")


def require_fit(
    losses: Mapping[str, Loss],
    *,
    student: ModelConfig,
    teacher: ModelConfig | None,
    recipe: str | None = None,
) -> None:
    """Refuses losses that can't compare two models, before anything is loaded or drawn.

    Args:
        losses: By name.
        student: The student's configuration.
        teacher: The teacher's; None where no loss uses one.
        recipe: The recipe that learns by them, where it has losses of its own.

    Raises:
        SettingsError: Says which loss, what it compares and how the models differ, or which recipe
            it is for.
    """
    for name, loss in losses.items():
        if loss.recipe not in (None, recipe):
            raise SettingsError(
                f"losses.{name} compares texts with each other, and the batches of this recipe "
                f"are divided anywhere; limbeck {loss.recipe} learns by it. `limbeck list losses` "
                "shows the others"
            )
    with torch.device("meta"):
        for loss in losses.values():
            loss.build(student, teacher)


def require_same_width(loss: Loss, student: ModelConfig, teacher: ModelConfig | None) -> None:
    """Refuses a student whose hidden states have another width than the teacher's.

    Raises:
        SettingsError: Gives both widths, and what to do.
    """
    assert teacher is not None
    if student.hidden_size != teacher.hidden_size:
        raise SettingsError(
            f"losses.{loss.name} compares hidden states, but the teacher's hidden_size is "
            f"{teacher.hidden_size} and the student's {student.hidden_size}; leave this loss out, "
            "take hidden_mse, which learns a map between them, or a student as wide as the teacher"
        )
