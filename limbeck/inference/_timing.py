"""One call of a model, timed from text to output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

Text = str | tuple[str, str]
"""One text, or a pair of them."""

Encode = Callable[..., Mapping[str, torch.Tensor]]
"""A tokenizer: called with a list of texts (and one of second texts), returns tensors.

What else it can encode, such as a task's examples, can be given in the place of texts.
"""


class Timing(NamedTuple):
    """Seconds in all and in the model alone, and real tokens, of one batch."""

    seconds: float
    model_seconds: float
    num_tokens: int


class Runner:
    """One model with its tokenizer, timed call by call."""

    def __init__(
        self, model: nn.Module, encode: Encode, *, device: torch.device, max_length: int
    ) -> None:
        self._model = model
        self._encode = encode
        self._device = device
        self._max_length = max_length

    def __call__(self, texts: Sequence[Any]) -> Timing:
        """Runs one batch."""
        start = time.perf_counter()
        columns = [list(c) for c in zip(*texts, strict=True)] if _is_pair(texts[0]) else [texts]
        inputs = self._encode(
            *map(list, columns),
            truncation="longest_first",
            max_length=self._max_length,
            padding="longest",
            return_tensors="pt",
        )
        num_tokens = int(inputs["attention_mask"].sum())
        encoded = time.perf_counter()
        self._model(**{name: tensor.to(self._device) for name, tensor in inputs.items()})
        _wait_for(self._device)
        end = time.perf_counter()
        return Timing(end - start, end - encoded, num_tokens)


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple)


def _wait_for(device: torch.device) -> None:
    """Waits until an accelerator has done its work: calls to it return before that."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def evaluation(models: Iterable[nn.Module]) -> Iterator[None]:
    """Puts the models in evaluation mode, and each part back in the mode it was in."""
    modes = [(part, part.training) for model in models for part in model.modules()]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training
