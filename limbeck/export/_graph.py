"""A model as exporters want it: a fixed list of tensors in, a tuple of tensors out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.errors import ExportError, did_you_mean, shorten_names
from limbeck.models import ForeignModel, Kind, Model, SentenceModel

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SPAN = ("start_logits", "end_logits")


class Graph(nn.Module):
    """A model with its inputs and outputs in order, in evaluation mode.

    Names are those of `optimum`: `input_ids`, `attention_mask`, `token_type_ids` where the model
    has them; `logits`, `start_logits` and `end_logits`, `last_hidden_state`; a sentence model gives
    `last_hidden_state` and `sentence_embedding`.

    Args:
        model: What is exported; it is left in evaluation mode.
        name: What it is called where it is shown.
    """

    def __init__(self, model: Model | SentenceModel, *, name: str = "model") -> None:
        super().__init__()
        self.name = name
        self.model = model
        self.config = self.encoder_model.config
        self.kind: Kind = self.encoder_model.kind
        num_inputs = 3 if self.config.takes_token_types else 2
        self.input_names = _INPUTS[:num_inputs]
        self.output_names = self._name_outputs()
        # An evaluated model in a wrapper that trains would be switched back by some exporters.
        self.eval()

    @property
    def encoder_model(self) -> Model | ForeignModel:
        """The model itself, of a sentence model its encoder."""
        # No attribute: the same weights would go into exports under a second name.
        return self.model.encoder if isinstance(self.model, SentenceModel) else self.model

    @property
    def class_name(self) -> str:
        """What the model's class is called, for messages."""
        return type(self.model).__name__

    def _name_outputs(self) -> tuple[str, ...]:
        if isinstance(self.model, SentenceModel):
            # Of the two names that are in use for the first, the one that `optimum` runs.
            return ("last_hidden_state", "sentence_embedding")
        if not self.kind.has_head:
            return ("last_hidden_state",)
        return _SPAN if self.kind.name == "question_answering" else ("logits",)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the model.

        Args:
            inputs: As `input_names` has them.

        Shape:
            inputs: (batch, sequence) each; (batch, choices, sequence) for multiple choice.
        """
        if isinstance(self.model, SentenceModel):
            hidden = self.model.encoder.encode(*inputs).last_hidden_state
            vectors = self.model.head(hidden, inputs[1])
            return hidden, vectors[:, : self.model.config.width]
        output = self.model(*inputs)
        return tuple(getattr(output, name) for name in self.output_names)

    def example(self, *, rows: int = 2, tokens: int = 8) -> tuple[Tensor, ...]:
        """Returns inputs of a shape; the last row's second half is padding.

        Shape:
            result: (rows, tokens) each; (rows, 2, tokens) for multiple choice.
        """
        shape = (rows, 2, tokens) if self.kind.has_choices else (rows, tokens)
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(0, self.config.vocab_size, shape, generator=generator)
        mask = torch.ones(shape, dtype=torch.long)
        mask[-1, ..., (tokens + 1) // 2 :] = 0
        padding = self.config.pad_token_id or 0
        ids = ids.where(mask.bool(), torch.tensor(padding))
        return (ids, mask, torch.zeros_like(ids))[: len(self.input_names)]

    @property
    def axes(self) -> dict[int, str]:
        """Which dimensions of the inputs are free, and what they are called."""
        if self.kind.has_choices:
            return {0: "batch_size", 1: "num_choices", 2: "sequence_length"}
        return {0: "batch_size", 1: "sequence_length"}

    def modules_within(self, names: Sequence[str]) -> frozenset[str]:
        """Returns modules of `model` by name, and all that are part of them.

        Args:
            names: Such as `encoder.layers.0.feed_forward`.

        Raises:
            ExportError: If the model has no such module.
        """
        known = [name for name, _ in self.model.named_modules() if name]
        for wanted in names:
            if wanted not in known:
                raise ExportError(
                    f"keep_float names the module {wanted!r}, which {self.class_name} does not "
                    f"have; accepted: {shorten_names(sorted(known))}." + did_you_mean(wanted, known)
                )
        below = tuple(f"{name}." for name in names)
        return frozenset(name for name in known if name in names or name.startswith(below))
