"""What an engine is: batches of numbers in, named arrays out, within limits that it tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from limbeck.errors import SettingsError
from limbeck.inference.engines._facts import ModelFacts
from limbeck.models import Kind

Batch = Mapping[str, Any]
"""Inputs by name, as `input_ids`: NumPy arrays or tensors of whole numbers, (batch, tokens)."""

Outputs = dict[str, npt.NDArray[np.float32]]
"""What a model gives, by the names of `limbeck.nn.ModelOutput`: its head's scores, or the hidden
states of a model without a head; the first axis is the batch. Where vectors of texts were asked
for, those alone, as `sentence_embedding`."""

VECTORS = "sentence_embedding"
"""Name of the output that is a vector a text, (batch, width)."""
PROMPT = "num_prompt_tokens"
"""Name of an input that some engines take where they give vectors: how many tokens at the beginning
of each text are a prompt's, and don't count."""

ASKED = "asked_tokens"
"""Name of an input that some engines take for heads over all words: 1 at the tokens whose scores
are wanted. `logits` are then of these alone, in order: (asked tokens, words)."""


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
        facts: What is to be known of the model: its head, labels and sizes.
        limits: What it takes.
        device: Where it runs, such as `cpu` or `cuda:0`; speeds compare on one device only.
        precision: Type of its weights: fp32, bf16, fp16, int8, int4 or int2; what it computes in,
            where that was asked for.
    """

    files: ClassVar[Mapping[str, str]] = {}
    """What it looks for in folders that no export of ours wrote: paths within the folder, the one
    first that is taken where there are several, and the precision of each."""
    computes: ClassVar[Mapping[str, str]] = {}
    """Precisions that it computes in beside those of files, and which files it takes for each."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that it needs beyond Limbeck's own, as they are imported."""
    extra: ClassVar[str] = ""
    """The extra that installs them."""
    target: ClassVar[str] = ""
    """The target whose files it runs, as `limbeck export --to` takes it; none for weights."""
    part_of: ClassVar[str] = ""
    """The engine that it is a part of, where it is none to choose by itself."""
    takes_threads: ClassVar[bool] = True
    """Whether it can be told how many threads to take."""

    facts: ModelFacts
    limits: Limits
    device: str
    precision: str = "fp32"

    @property
    def kind(self) -> Kind:
        """Which head the model has."""
        return self.facts.kind

    @classmethod
    @abstractmethod
    def load(
        cls,
        folder: Path,
        *,
        kind: Kind | None = None,
        vectors: bool = False,
        device: str = "auto",
        precision: str | None = None,
        num_threads: int | None = None,
    ) -> Engine:
        """Reads a model folder; the arguments are those of `load_engine`."""

    @abstractmethod
    def compute(self, batch: Batch) -> Outputs:
        """Runs a batch that is within the limits."""

    def run(self, batch: Batch) -> Outputs:
        """Runs a batch; several threads may call it at once.

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


def engine_name(engine: type[Engine]) -> str:
    """Returns an engine's name, which is its module's, or that of the one that it is a part of."""
    return engine.part_of or engine.__module__.rpartition(".")[2]
