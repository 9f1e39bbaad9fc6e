"""What all pipelines share: a model on its device, its tokenizer, and rows run in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.models import AutoModel, Model
from limbeck.nn import ModelOutput
from limbeck.tokenizers import Tokenizer
from limbeck.train import choose_device

Scores = npt.NDArray[np.float32]
ItemT = TypeVar("ItemT")
OptionsT = TypeVar("OptionsT")

_CHUNK = 32  # batches whose rows are kept at a time, to be sorted by length


class Pipeline:
    """Base of the pipelines.

    Args:
        model: A model with the head that the pipeline reads; it is put on `device` in eval mode.
        tokenizer: Its tokenizer.
        batch_size: Texts, or windows of them, that go through the model at a time.
        device: `auto`, `cpu`, `cuda`, ...
        max_length: Longest input in tokens; by default the longest that the model takes.

    Raises:
        SettingsError: If the model has another head, or a number is out of range.
    """

    task: ClassVar[str]
    """The pipeline's name in `pipeline`."""
    auto_model: ClassVar[type[AutoModel]]
    """Loads the models that the pipeline takes."""
    finetune_options: ClassVar[str] = ""
    """What `limbeck finetune` needs to be told to make such a model."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        *,
        batch_size: int = 32,
        device: str = "auto",
        max_length: int | None = None,
    ) -> None:
        if model.kind != self.auto_model.kind:
            prefix = model.architecture.class_prefix
            raise SettingsError(
                f"the {self.task} pipeline was given a {prefix}{model.kind.suffix}; accepted: a "
                f"{prefix}{self.auto_model.kind.suffix}"
            )
        self.config = model.config
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self._batch_size = require_positive("batch_size", batch_size)
        limit = min(tokenizer.model_max_length, self.config.max_position_embeddings)
        self._max_length = (
            limit if max_length is None else require_positive("max_length", max_length)
        )
        if self._max_length > limit:
            raise SettingsError(f"max_length = {max_length}, but the model takes {limit} tokens")

    def _chunks(self, items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
        """Divides inputs into parts, so that memory does not grow with their number."""
        size = _CHUNK * self._batch_size
        return (items[start : start + size] for start in range(0, len(items), size))

    @torch.inference_mode()
    def _run(self, rows: Sequence[Encoding], read: Callable[[ModelOutput], Tensor]) -> list[Scores]:
        """Runs rows of tokens, those of about the same length together.

        Args:
            rows: Encoded inputs without padding, not longer than the model takes.
            read: Takes the scores out of the model's output, (batch, tokens, scores).

        Returns:
            Each row's scores, (tokens, scores), in the order of the rows.
        """
        results: dict[int, Scores] = {}
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        for start in range(0, len(order), self._batch_size):
            indices = order[start : start + self._batch_size]
            scores = read(self.model(**self._pad([rows[i] for i in indices])))
            for i, row in zip(indices, scores.float().cpu().numpy(), strict=True):
                results[i] = row[: len(rows[i])]
        return [results[i] for i in range(len(rows))]

    def _pad(self, rows: Sequence[Encoding]) -> dict[str, Tensor]:
        """Stacks rows of tokens into the model's inputs, filled up on the right."""
        shape = len(rows), max(map(len, rows))
        columns: dict[str, tuple[int, Callable[[Encoding], list[int]]]] = {
            "input_ids": (self.tokenizer.pad_token_id, lambda row: row.ids),
            "token_type_ids": (self.tokenizer.config.pad_token_type_id, lambda row: row.type_ids),
            "attention_mask": (0, lambda row: row.attention_mask),
        }
        inputs = {}
        for name in self.tokenizer.model_input_names:
            padding, values = columns[name]
            array = np.full(shape, padding, dtype=np.int64)
            for place, row in enumerate(rows):
                array[place, : len(row)] = values(row)
            inputs[name] = torch.from_numpy(array).to(self.device)
        return inputs


def choose(options: OptionsT, **given: Any) -> OptionsT:
    """Returns the options of a pipeline with what a call gives in their place; None gives nothing.

    Raises:
        SettingsError: If a value is out of range.
    """
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(options, **chosen)  # type: ignore[type-var]


def require_positive(name: str, value: int) -> int:
    """Returns a whole number of at least 1.

    Raises:
        SettingsError: If it is none.
    """
    return require_at_least(1, name, value)


def require_at_least(least: int, name: str, value: Any) -> int:
    """Returns a whole number that is not below `least`.

    Raises:
        SettingsError: If it is below, or something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(f"{name} = {value!r}: must be a whole number of at least {least}")
    if value < least:
        raise SettingsError(f"{name} = {value}: must be at least {least}")
    return value
