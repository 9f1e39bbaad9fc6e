"""One call of a model, timed from text to output."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from limbeck.inference.engines import Engine

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
    """One model or engine with its tokenizer, timed call by call."""

    def __init__(self, model: nn.Module | Engine, encode: Encode, *, max_length: int) -> None:
        self._run: Callable[..., object]
        if isinstance(model, Engine):
            self._run = model.run  # which gives arrays, and so has done its work
        else:
            self._run = partial(_run_module, model, next(model.parameters()).device)
        self._encode = encode
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
        self._run(inputs)
        end = time.perf_counter()
        return Timing(end - start, end - encoded, num_tokens)


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple)


def _run_module(model: nn.Module, device: torch.device, inputs: Mapping[str, torch.Tensor]) -> None:
    model(**{name: tensor.to(device) for name, tensor in inputs.items()})
    if device.type != "cpu":  # calls to an accelerator return before it has done its work
        torch.accelerator.synchronize(device)
