"""Runs a model with PyTorch, as it was trained, on any device that torch knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch

from limbeck.inference.engines._engine import ASKED, Batch, Engine, Limits, Outputs
from limbeck.inference.engines._facts import ModelFacts, find_folder_kind, names_head
from limbeck.inference.engines._precision import find_dtype, name_precision, set_threads
from limbeck.inference.engines._sentence import SentenceEngine
from limbeck.models import (
    AnyModel,
    AutoConfig,
    EarlyExitModel,
    Kind,
    Model,
    add_exits,
    find_class,
    find_foreign_family,
    load_foreign,
)
from limbeck.nn import evaluation
from limbeck.train import choose_device

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SCORES = ("logits", "start_logits", "end_logits")
_HIDDEN = ("last_hidden_state", "pooler_output")


class TorchEngine(Engine):
    """A model of `limbeck.models`, with the early exits that its folder has.

    Args:
        model: It is put on `device`, and in evaluation mode while it runs.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_threads: Threads of the CPU, which torch has one number of for the whole process.
    """

    def __init__(
        self,
        model: AnyModel | EarlyExitModel,
        *,
        device: str = "auto",
        num_threads: int | None = None,
    ) -> None:
        set_threads(num_threads)
        self.model = model.to(choose_device(device))
        self.facts = ModelFacts.of(model)
        self.precision = name_precision(next(model.parameters()).dtype)
        self.device = str(model.device)
        num_inputs = 3 if model.config.takes_token_types else 2
        # A head over all words is half of a small model's time (docs/log.md); foreign models run it
        # by themselves.
        asked = (ASKED,) if isinstance(model, Model) and self.kind.ties_words else ()
        self.limits = Limits(
            inputs=(*_INPUTS[:num_inputs], *asked), max_tokens=model.config.max_tokens
        )

    @classmethod
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
        if vectors:
            return cls.of_vectors().load(
                folder, device=device, precision=precision, num_threads=num_threads
            )
        dtype = find_dtype(precision)
        if find_foreign_family(folder) is not None:
            set_threads(num_threads)
            foreign = load_foreign(folder, kind or find_folder_kind(folder))
            return cls(foreign.to(dtype), device=device).made_ready(folder)
        config = AutoConfig.from_pretrained(folder)
        model_type = find_class(config.model_type, kind or find_folder_kind(folder))
        set_threads(num_threads)
        # Below a head there may be no pooler, and nobody asks for its output.
        is_below = kind is not None and not kind.has_head and names_head(folder)
        pooler = False if is_below else None
        model = model_type.from_pretrained(folder, dtype=dtype, add_pooling_layer=pooler)
        return cls(add_exits(model, folder), device=device).made_ready(folder)

    @classmethod
    def of_vectors(cls) -> type[SentenceEngine]:
        """Returns what runs sentence models in the same way."""
        return SentenceEngine

    def made_ready(self, folder: Path) -> Self:  # noqa: ARG002 - for those that it takes longer
        """Returns the engine of a folder when it can run."""
        return self

    @torch.inference_mode()
    def compute(self, batch: Batch) -> Outputs:
        """Runs a batch that is within the limits."""
        inputs: dict[str, Any] = {
            n: torch.as_tensor(v, device=self.model.device) for n, v in batch.items()
        }
        asked = inputs.pop(ASKED, None)
        with evaluation(self.model):
            if asked is not None:
                assert isinstance(self.model, Model)
                hidden = self.model.encode(**inputs).last_hidden_state[asked == 1]
                return {"logits": self.model.score(hidden).float().cpu().numpy()}
            output = self.model(**inputs)
        # Hidden states of a model with a head are not copied from the device for nothing.
        tensors = {n: getattr(output, n) for n in (_SCORES if self.kind.has_head else _HIDDEN)}
        return {n: t.float().cpu().numpy() for n, t in tensors.items() if t is not None}


EngineType = TorchEngine
