"""Runs a sentence model with PyTorch: only vectors come back from the device."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch

from limbeck.inference.engines._engine import Batch, Engine, Limits, Outputs
from limbeck.models import Kind, SentenceModel
from limbeck.models._kinds import ENCODER
from limbeck.nn import evaluation
from limbeck.train import choose_device

VECTORS = "sentence_embedding"
"""Name of the output, (batch, width)."""
PROMPT = "num_prompt_tokens"
"""Name of an input: how many tokens at the beginning of each text are a prompt's."""


class SentenceEngine(Engine):
    """A sentence model, ready to be run.

    Args:
        model: It is put on `device`, and in evaluation mode while it runs.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
    """

    def __init__(self, model: SentenceModel, *, device: str = "auto") -> None:
        self.model = model.to(choose_device(device))
        self.config, self.kind = model.encoder.config, ENCODER
        self.device = str(model.device)
        types = ("token_type_ids",) if self.config.takes_token_types else ()
        self.limits = Limits(
            inputs=("input_ids", "attention_mask", *types, PROMPT),
            max_tokens=self.config.max_tokens,
        )

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        kind: Kind = ENCODER,  # noqa: ARG003 - there is no other
        device: str = "auto",
    ) -> Self:
        """Reads a model folder or Hub model."""
        return cls(SentenceModel.from_pretrained(name_or_path), device=device)

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
