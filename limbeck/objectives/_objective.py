"""What text and tasks share: a student and its losses in one module, and how they add up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from limbeck.losses import Loss
from limbeck.models import Model, ModelConfig
from limbeck.objectives._looks import Looks


class Movable(Protocol):
    """What can be put on a device."""

    def to(self, device: torch.device) -> Self:
        """Returns it on `device`."""


BatchT = TypeVar("BatchT", bound=Movable)
RowsT = TypeVar("RowsT", bound=Movable)


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[BatchT, RowsT]):
    """A micro-batch, and what was looked up in it while it was on the CPU.

    What depends on numbers of the batch, such as where its labels are, would make the host wait
    if it were looked up on a device.

    Attributes:
        batch: The micro-batch.
        rows: Which rows of it the losses run over.
        counts: Per term, how many items it averages over.
    """

    batch: BatchT
    rows: RowsT
    counts: Mapping[str, int]

    def to(self, device: torch.device) -> Prepared[BatchT, RowsT]:
        """Returns the same on a device."""
        return Prepared(batch=self.batch.to(device), rows=self.rows.to(device), counts=self.counts)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one part of an objective adds to a step's loss.

    Attributes:
        weighted: With gradient, a scalar.
        terms: Unweighted and detached, by the name of the loss.
    """

    weighted: Tensor
    terms: Mapping[str, Tensor]


class Objective(nn.Module, ABC, Generic[BatchT, RowsT]):
    """A student and the losses it learns by; their parameters are what is trained and saved.

    Args:
        student: Trained; in train mode or not as the caller sets it.
        losses: Their settings by name.
        teacher: Configuration of the teacher; None if no loss needs one.

    Raises:
        SettingsError: If a loss can't compare the two models.
    """

    def __init__(
        self, student: Model, losses: Mapping[str, Loss], *, teacher: ModelConfig | None = None
    ) -> None:
        super().__init__()
        self.student = student
        self.settings = dict(losses)
        built = {name: loss.build(student.config, teacher) for name, loss in losses.items()}
        self.losses = nn.ModuleDict(built).to(student.device)
        self.of_student, self.of_teacher = Looks.of(losses, student=student.config, teacher=teacher)
        """What the losses look at in either model."""

    @abstractmethod
    def prepare(self, batch: BatchT) -> Prepared[BatchT, RowsT]:
        """Looks up in a batch on the CPU what its losses run over, and counts it."""

    @abstractmethod
    def shares(
        self, prepared: Prepared[BatchT, RowsT], counts: Mapping[str, int]
    ) -> Iterator[Share]:
        """Yields what each part adds, each term divided by its count over the whole step."""

    def forward(
        self, prepared: Prepared[BatchT, RowsT], counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the batch's share of the step's loss and of each term."""
        total: Tensor | None = None
        terms: dict[str, Tensor] = {}
        for share in self.shares(prepared, counts):
            total = share.weighted if total is None else total + share.weighted
            terms |= share.terms
        assert total is not None
        return total, terms

    def parameter_depths(self) -> dict[str, int]:
        """Returns how far up the student's parameters stand; those of losses stand at the top."""
        depths = self.student.parameter_depths()
        return {f"student.{name}": depth for name, depth in depths.items()}

    def weigh(self, name: str, share: Tensor) -> Share:
        """Returns a loss's share of its mean over the step, weighted as its settings say."""
        return Share(weighted=self.settings[name].weight * share, terms={name: share.detach()})
