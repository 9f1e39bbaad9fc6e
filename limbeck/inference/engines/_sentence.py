"""Runs a sentence model with PyTorch: only vectors come back from the device."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch

from limbeck.inference.engines._engine import PROMPT, VECTORS, Batch, Engine, Limits, Outputs
from limbeck.inference.engines._facts import ModelFacts
from limbeck.inference.engines._precision import find_dtype, name_precision, set_threads
from limbeck.models import Kind, SentenceModel
from limbeck.nn import evaluation
from limbeck.train import choose_device


class SentenceEngine(Engine):
    """A sentence model, ready to be run.

    Args:
        model: It is put on `device`, and in evaluation mode while it runs.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_threads: Threads of the CPU, which torch has one number of for the whole process.
    """

    part_of = "torch"

    def __init__(
        self, model: SentenceModel, *, device: str = "auto", num_threads: int | None = None
    ) -> None:
        set_threads(num_threads)
        self.model = model.to(choose_device(device))
        self.facts = ModelFacts.of_sentence_model(model)
        self.precision = name_precision(next(model.parameters()).dtype)
        self.device = str(model.device)
        types = ("token_type_ids",) if model.encoder.config.takes_token_types else ()
        self.limits = Limits(
            inputs=("input_ids", "attention_mask", *types, PROMPT),
            max_tokens=self.facts.max_tokens,
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        kind: Kind | None = None,  # noqa: ARG003 - there is no other
        vectors: bool = True,  # noqa: ARG003
        device: str = "auto",
        precision: str | None = None,
        num_threads: int | None = None,
    ) -> Engine:
        """Reads a model folder; the arguments are those of `load_engine`."""
        model = SentenceModel.from_pretrained(folder, dtype=find_dtype(precision))
        return cls(model, device=device, num_threads=num_threads).made_ready(folder)

    def made_ready(self, folder: Path) -> Self:  # noqa: ARG002 - for those that it takes longer
        """Returns the engine of a folder when it can run."""
        return self

    @torch.inference_mode()
    def compute(self, batch: Batch) -> Outputs:
        """Runs a batch that is within the limits."""
        inputs = {
            name: torch.as_tensor(values, device=self.model.device)
            for name, values in batch.items()
            if name != PROMPT
        }
        with evaluation(self.model):
            vectors = self.model(**inputs, num_prompt_tokens=int(batch.get(PROMPT, 0)))
        return {VECTORS: vectors.float().cpu().numpy()}
