"""Runs a model with PyTorch, compiled for this machine: a C++ compiler and some patience needed."""

from __future__ import annotations

from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch

from limbeck.errors import LimbeckError, MachineError, SettingsError, shorten
from limbeck.inference.engines._engine import ASKED
from limbeck.inference.engines._sentence import SentenceEngine
from limbeck.inference.engines.torch import TorchEngine
from limbeck.models import EarlyExitModel
from limbeck.nn import Encoder

_PlainT = TypeVar("_PlainT", bound=TorchEngine | SentenceEngine)

_WARM_TOKENS = 8
_WARM_ROWS = (2, 1)
"""One row is a program of its own: sizes of 1 are never left open."""


class CompiledEngine(TorchEngine):
    """A model of `limbeck.models` whose encoder is compiled for rows of every number and length.

    Loading takes half a minute of a processor (6 layers), less where the same was compiled before
    on this machine; what that brings on a CPU is a few hundredths of the time of a call
    (docs/log.md). Answers differ from those of `torch` by less than 1e-5 of scores about 1. The
    head is run as it is.

    Args:
        model: It is put on `device`, and in evaluation mode while it runs.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_threads: Threads of the CPU, which torch has one number of for the whole process.
    """

    @classmethod
    def of_vectors(cls) -> type[SentenceEngine]:
        """Returns what runs sentence models in the same way."""
        return CompiledSentenceEngine

    def made_ready(self, folder: Path) -> Self:
        """Returns the engine with its encoder compiled.

        Raises:
            MachineError: If it can't be compiled, as where there is no C++ compiler.
            SettingsError: If `transformers` runs the model, and not Limbeck, or it has early exits.
        """
        return _compile(self, folder)


class CompiledSentenceEngine(SentenceEngine):
    """A sentence model whose encoder is compiled; see `CompiledEngine`.

    Arguments are those of `SentenceEngine`.
    """

    part_of = "torch_compiled"

    def made_ready(self, folder: Path) -> Self:
        """Returns the engine with its encoder compiled."""
        return _compile(self, folder)


def _compile(engine: _PlainT, folder: Path) -> _PlainT:
    """Compiles an engine's encoder, and runs it, so that what fails does so here."""
    encoder = next((part for part in engine.model.modules() if isinstance(part, Encoder)), None)
    if encoder is None:
        raise SettingsError(
            f"engine = 'torch_compiled': {folder} is a model that transformers runs, and only "
            "families of Limbeck are compiled; accepted: engine='torch'"
        )
    if isinstance(engine.model, EarlyExitModel):
        raise SettingsError(
            f"engine = 'torch_compiled': {folder} has early exits, with which layers run one by "
            "one, and what is compiled runs all of them at once; accepted: engine='torch'"
        )
    encoder.compile(dynamic=True)
    tokens = min(_WARM_TOKENS, engine.limits.max_tokens or _WARM_TOKENS)
    names = ("input_ids", "attention_mask", "token_type_ids", ASKED)
    values = {name: 0 if name == "token_type_ids" else 1 for name in names}
    try:
        for rows in _WARM_ROWS:
            shape = (rows, 2, tokens) if engine.kind.has_choices else (rows, tokens)
            engine.run(
                {
                    # Arrays, as pipelines give: a tensor made out of inference mode is another
                    # kind to the compiler, and would have programs of its own.
                    name: np.full(shape, value)
                    for name, value in values.items()
                    if name in engine.limits.inputs
                }
            )
    except LimbeckError:
        raise
    except Exception as error:  # the compiler's own errors have no common base but this
        reason = shorten(" ".join(str(error).split()), length=300, quoted=False)
        raise MachineError(
            f"engine = 'torch_compiled': torch {torch.__version__} can't compile {folder} here: "
            f"{reason}. It needs a C++ compiler (the one that CXX names, else g++, on a Mac "
            "clang++) and Python's headers, for a GPU triton too; accepted: engine='torch', or the "
            "compiler installed, such as by apt install g++ python3-dev"
        ) from error
    return engine


EngineType = CompiledEngine
