"""One optimiser step's masked rows, and their division into micro-batches and ranks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.nn import to_device
from limbeck.nn.constants import IGNORE_INDEX


class MaskedBatch:
    """Rows of tokens to predict.

    Args:
        input_ids: Tokens, masked or as they are.
        labels: What is to be predicted at each position, original or next tokens, and -100
            (`IGNORE_INDEX`) where nothing is.
        attention_mask: 1 where a token may be seen, 0 elsewhere; None where all may be, as in
            packed rows.
        position_ids: Positions; None for 0, 1, 2, ...
        document_ids: Which document of its row a token belongs to; confines attention to it.

    Shape: all (rows, length); attention_mask also (rows, length, length).
    """

    __slots__ = (
        "_attention_mask",
        "_confined_mask",
        "document_ids",
        "input_ids",
        "labels",
        "position_ids",
    )

    def __init__(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        *,
        position_ids: Tensor | None = None,
        document_ids: Tensor | None = None,
    ) -> None:
        self.input_ids = input_ids
        self.labels = labels
        self.position_ids = position_ids
        self.document_ids = document_ids
        self._attention_mask = attention_mask
        self._confined_mask: Tensor | None = None

    @classmethod
    def from_numpy(
        cls,
        input_ids: npt.NDArray[np.int64],
        *,
        labels: npt.NDArray[np.int64],
        document_ids: npt.NDArray[np.int64] | None = None,
        position_ids: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Makes a batch of arrays without copying them."""
        return cls(
            torch.from_numpy(input_ids),
            torch.from_numpy(labels),
            position_ids=None if position_ids is None else torch.from_numpy(position_ids),
            document_ids=None if document_ids is None else torch.from_numpy(document_ids),
        )

    def __repr__(self) -> str:
        return f"MaskedBatch(rows={len(self)}, length={self.input_ids.shape[1]})"

    def __len__(self) -> int:
        return self.input_ids.shape[0]

    @property
    def attention_mask(self) -> Tensor | None:
        """1 or True where a token may be seen, or None where all may be.

        For attention confined to documents it is made when asked for, of a micro-batch on its
        device: (rows, length, length) for a whole step would be far larger than all else.
        """
        if self.document_ids is None:
            return self._attention_mask
        if self._confined_mask is None:
            same = self.document_ids[:, :, None] == self.document_ids[:, None, :]
            if self._attention_mask is not None:
                same = same & (self._attention_mask[:, None, :] != 0)
            self._confined_mask = same
        return self._confined_mask

    @property
    def is_real(self) -> Tensor:
        """Whether each token is one that others may see, and no padding; (rows, length)."""
        mask = self._attention_mask
        if mask is None:
            return torch.ones_like(self.input_ids, dtype=torch.bool)
        return (mask if mask.dim() == 2 else mask.amax(dim=1)) != 0

    @property
    def num_tokens(self) -> int:
        """Real tokens: those that are not padding."""
        return self.input_ids.numel() if self._attention_mask is None else int(self.is_real.sum())

    @property
    def num_masked(self) -> int:
        """Tokens to predict."""
        return int((self.labels != IGNORE_INDEX).sum())

    def split(self, num_parts: int) -> list[Self]:
        """Divides the rows into `num_parts` micro-batches whose sizes differ by one row at most.

        Raises:
            SettingsError: If there are more parts than rows.
        """
        if not 1 <= num_parts <= len(self):
            raise SettingsError(
                f"a batch of {len(self)} rows can't be divided into {num_parts} parts; accepted: "
                f"1 to {len(self)}"
            )
        bounds = [len(self) * part // num_parts for part in range(num_parts + 1)]
        return [self._rows(a, b) for a, b in itertools.pairwise(bounds)]

    def shard(self, rank: int, world: int) -> Self:
        """Returns the part of one process of `world`, its `rank` counted from 0.

        Raises:
            SettingsError: If there is no such rank, or there are more processes than rows.
        """
        if not 0 <= rank < world:
            raise SettingsError(f"rank={rank} is not one of {world} processes, counted from 0")
        return self.split(world)[rank]

    def to(self, device: torch.device | str) -> Self:
        """Returns the batch on a device."""
        return self._map(lambda tensor: to_device(tensor, device))

    def _rows(self, start: int, stop: int) -> Self:
        return self._map(lambda tensor: tensor[start:stop])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        def apply(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        return type(self)(
            change(self.input_ids),
            change(self.labels),
            apply(self._attention_mask),
            position_ids=apply(self.position_ids),
            document_ids=apply(self.document_ids),
        )
