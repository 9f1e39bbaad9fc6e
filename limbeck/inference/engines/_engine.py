"""What an engine is: batches of numbers in, named arrays out, within limits that it tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from limbeck.errors import SettingsError
from limbeck.models import Kind, ModelConfig

Batch = Mapping[str, Any]
"""Inputs by name, as `input_ids`: NumPy arrays or tensors of whole numbers, (batch, tokens)."""

Outputs = dict[str, npt.NDArray[np.float32]]
"""What a model gives, by the names of `limbeck.nn.ModelOutput`: its head's scores, or the hidden
states of a model without a head; the first axis is the batch."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an engine takes.

    Attributes:
        inputs: Names of the inputs; all but `input_ids` may be left out.
        max_tokens: Longest row in tokens; None where any length is taken.
        max_rows: Most rows at a time, or None where memory alone decides.
    """

    inputs: tuple[str, ...]
    max_tokens: int | None
    max_rows: int | None = None


class Engine(ABC):
    """A model on a device, ready to be run.

    Attributes:
        config: The model's configuration: its labels, sizes and special tokens.
        kind: Which head it has, and so which outputs.
        limits: What it takes.
        device: Where it runs, such as `cpu` or `cuda:0`; speeds compare on one device only.
    """

    config: ModelConfig
    kind: Kind
    limits: Limits
    device: str

    @classmethod
    @abstractmethod
    def load(cls, name_or_path: str | Path, *, kind: Kind, device: str = "auto") -> Self:
        """Reads a model folder or Hub model; see `load_engine`."""

    @abstractmethod
    def compute(self, batch: Batch) -> Outputs:
        """Runs a batch that is within the limits."""

    def run(self, batch: Batch) -> Outputs:
        """Runs a batch.

        Args:
            batch: Inputs of one shape, padded on the right; see `Batch`.

        Raises:
            SettingsError: If the batch is not within the limits.
        """
        limits = self.limits
        if "input_ids" not in batch or not set(batch) <= set(limits.inputs):
            raise SettingsError(
                f"the batch has {', '.join(batch) or 'no inputs'}; accepted: input_ids, and of "
                f"these what there is: {', '.join(limits.inputs)}. The model's own tokenizer gives "
                "what it takes"
            )
        num_rows, *_, num_tokens = batch["input_ids"].shape
        if limits.max_tokens is not None and num_tokens > limits.max_tokens:
            raise SettingsError(
                f"a row has {num_tokens} tokens, but the engine takes {limits.max_tokens}. "
                f"Truncate when tokenizing, with truncation=True and max_length={limits.max_tokens}"
            )
        if limits.max_rows is not None and num_rows > limits.max_rows:
            raise SettingsError(
                f"the batch has {num_rows} rows, but the engine takes {limits.max_rows} at a time"
            )
        return self.compute(batch)
