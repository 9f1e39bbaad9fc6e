"""The value types that models return."""

from __future__ import annotations

from dataclasses import dataclass

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

    Shape:
        last_hidden_state, hidden_states, attentions, attention_scores, queries, keys, values: As
            in `EncoderOutput`.
        pooler_output: (batch, hidden_size).
        logits: (batch, sequence, vocab_size) for masked words, (batch, num_labels) for sequences,
            (batch, sequence, num_labels) for tokens, (batch, num_choices) for multiple choice.
        start_logits, end_logits: (batch, sequence), for question answering.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    attention_scores: tuple[Tensor, ...] | None = None
    queries: tuple[Tensor, ...] | None = None
    keys: tuple[Tensor, ...] | None = None
    values: tuple[Tensor, ...] | None = None


# torch.export flattens outputs into tensors; it has to be told that these are containers.
register_dataclass(EncoderOutput, serialized_type_name="limbeck.nn.EncoderOutput")
register_dataclass(ModelOutput, serialized_type_name="limbeck.nn.ModelOutput")
