"""The processes that make each step together: which one this is, and sums over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One process of those that share a step's micro-batches; by default the only one.

    Attributes:
        rank: Which one, from 0.
        world_size: How many there are.
        device: Where sums are made; has to suit the backend of torch's process group.
    """

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"

    @classmethod
    def of_process_group(cls, device: str = "cpu") -> Self:
        """Returns where this process stands in torch's process group."""
        return cls(
            rank=torch.distributed.get_rank(),
            world_size=torch.distributed.get_world_size(),
            device=device,
        )

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def sum(self, *numbers: float) -> list[float]:
        """Returns each number added up over all processes; every one has to ask."""
        if self.world_size == 1:
            return list(numbers)
        totals = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(totals)
        added: list[float] = totals.tolist()
        return added

    def sum_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Returns counts added up over all processes, which have to count the same things."""
        return dict(zip(counts, map(int, self.sum(*counts.values())), strict=True))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up gradients in place; one that only other processes have counts as 0 here.

        One that none has stays absent, so that weight decay leaves what no loss looks at alone.
        """
        if self.world_size == 1:
            return
        given = list(parameters)
        owners = self.sum(*(parameter.grad is not None for parameter in given))
        for parameter, number in zip(given, owners, strict=True):
            if not number:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)

    def of_main(self, number: float) -> float:
        """Returns the main process's number in all of them, so that they decide alike."""
        return self.sum(number if self.is_main else 0.0)[0]
