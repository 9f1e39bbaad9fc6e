"""Teachers that are no model: they say something of texts, and have a score, but no layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from limbeck.losses import View
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.teachers._teacher import Teacher
from limbeck.train import Progress


@dataclass(frozen=True, kw_only=True)
class Labeller(Teacher):
    """A teacher that is known by what it says of texts alone."""

    gives: ClassVar[frozenset[View]] = frozenset({"logits"})

    def plan(
        self,
        data: TaskData,
        *,
        scored: Sequence[str] = (),  # noqa: ARG002 - of kinds that cost
    ) -> dict[str, Any]:
        """Returns what a dry run says of it.

        Args:
            data: The student's.
            scored: Splits that it will be asked of too, beside those that are learned from.
        """
        return super().plan(data)

    def require_answers(self, data: TaskData, splits: Sequence[str]) -> None:
        """Refuses rows of splits that it will have nothing to say of, where that is known before.

        Raises:
            DataError: Names the split and how many rows.
        """

    @abstractmethod
    def predict(self, data: TaskData, split: str, progress: Progress) -> Sequence[Tensor]:
        """Returns what it says of each row of a split, as logits.

        Raises:
            DataError: If it says nothing of some.
        """
