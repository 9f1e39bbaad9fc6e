"""The value types that models return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.export import register_dataclass


@dataclass(frozen=True, kw_only=True)
class EncoderOutput:
    """What the encoder computed.

    Shape:
        last_hidden_state: (batch, sequence, hidden_size).
        hidden_states: If collected, the embeddings and then each layer's output, each of that
            shape; the last is `last_hidden_state`.
        attentions: If collected, each layer's probabilities:
            (batch, heads, sequence, sequence).
        attention_scores: If collected, the same before the softmax; below -10000 where a key may
            not be seen.
        queries, keys, values: If collected, each layer's: (batch, heads, sequence, head_size).

    Where only some layers' are collected, these alone are there, from the bottom up.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    attention_scores: tuple[Tensor, ...] | None = None
    queries: tuple[Tensor, ...] | None = None
    keys: tuple[Tensor, ...] | None = None
    values: tuple[Tensor, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """What a model computed; what it does not have, or was not asked to collect, is None.

    It is read by attribute (`output.logits`), by name (`output["logits"]`), and as the tuple that
    the same model of `transformers` returns (`output[0]`, `loss, logits = output`).

    Shape:
        loss: (), where labels were given.
        last_hidden_state, hidden_states, attentions, attention_scores, queries, keys, values: As
            in `EncoderOutput`.
        pooler_output: (batch, hidden_size).
        logits: (batch, sequence, vocab_size) for masked words, (batch, num_labels) for sequences,
            (batch, sequence, num_labels) for tokens, (batch, sequence) for replaced tokens,
            (batch, num_choices) for multiple choice.
        start_logits, end_logits: (batch, sequence), for question answering.
        num_layers_run: (batch,), of models with early exits: how many layers each row took.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    loss: Tensor | None = None
    logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    attention_scores: tuple[Tensor, ...] | None = None
    queries: tuple[Tensor, ...] | None = None
    keys: tuple[Tensor, ...] | None = None
    values: tuple[Tensor, ...] | None = None
    num_layers_run: Tensor | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """Returns loss, scores, hidden states and attention, as far as they are there, in order.

        A bare encoder has its last hidden state and pooler output in place of scores.
        """
        scores = (self.loss, self.logits, self.start_logits, self.end_logits)
        has_head = any(score is not None for score in scores)
        first = scores if has_head else (self.last_hidden_state, self.pooler_output)
        every = (*first, self.hidden_states, self.attentions)
        return tuple(value for value in every if value is not None)

    def __getitem__(self, key: str | int | slice) -> Any:
        """Returns what stands under a name, or in that place of `to_tuple`.

        Raises:
            KeyError: If there is nothing of that name; the message lists what there is.
        """
        if not isinstance(key, str):
            return self.to_tuple()[key]
        value = vars(self).get(key)
        if value is None:
            there = [name for name, found in vars(self).items() if found is not None]
            raise KeyError(f"the output has no '{key}'; it has: {', '.join(there)}")
        return value

    def __contains__(self, key: object) -> bool:
        return vars(self).get(str(key)) is not None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_tuple())


# torch.export flattens outputs into tensors; it has to be told that these are containers.
register_dataclass(EncoderOutput, serialized_type_name="limbeck.nn.EncoderOutput")
register_dataclass(ModelOutput, serialized_type_name="limbeck.nn.ModelOutput")
