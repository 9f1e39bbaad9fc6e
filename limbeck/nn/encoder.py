"""The encoder: embeddings, then a stack of layers."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from torch import Tensor, nn

from limbeck.errors import SettingsError, did_you_mean
from limbeck.nn.attention import AttentionParts, additive_mask
from limbeck.nn.embeddings import Embeddings
from limbeck.nn.layer import EncoderLayer
from limbeck.nn.outputs import EncoderOutput

COLLECTABLE = frozenset({"hidden_states", *AttentionParts._fields})


class Encoder(nn.Module):
    """Turns token ids into one vector a token; what else it returns, each call decides."""

    def __init__(self, *, embeddings: Embeddings, layers: Iterable[EncoderLayer]) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.layers = nn.ModuleList(layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        collect: AbstractSet[str] = frozenset(),
    ) -> EncoderOutput:
        """Encodes a batch.

        Args:
            input_ids: Token ids.
            attention_mask: 1 for what may be seen, 0 elsewhere; None if everything may be.
            token_type_ids: Segment of each token; 0 if absent.
            position_ids: Position of each token; 0, 1, 2, ... if absent.
            collect: What to return beside the last hidden state: `hidden_states`, `queries`,
                `keys`, `values`, `attention_scores`, `attentions`. Attention is computed
                explicitly, and slower, only for the latter two.

        Shape:
            input_ids, token_type_ids: (batch, sequence).
            attention_mask: (batch, sequence), or (batch, sequence, sequence) to say for each
                token which others it sees.
            position_ids: (batch, sequence) or (1, sequence).

        Raises:
            SettingsError: If `collect` names something that an encoder does not have.
        """
        if unknown := sorted(set(collect) - COLLECTABLE):
            raise SettingsError(
                f"collect has '{unknown[0]}'; accepted: {', '.join(sorted(COLLECTABLE))}."
                + did_you_mean(unknown[0], COLLECTABLE)
            )
        hidden = self.embeddings(input_ids, token_type_ids, position_ids)
        mask = None if attention_mask is None else additive_mask(attention_mask, dtype=hidden.dtype)
        is_explicit = not {"attentions", "attention_scores"}.isdisjoint(collect)
        hidden_states = [hidden]
        collected: dict[str, list[Tensor]] = {
            name: [] for name in AttentionParts._fields if name in collect
        }
        for layer in self.layers:
            hidden, parts = layer(hidden, mask, explicit=is_explicit)
            for name, of_layers in collected.items():
                of_layers.append(getattr(parts, name))
            if "hidden_states" in collect:
                hidden_states.append(hidden)
        return EncoderOutput(
            last_hidden_state=hidden,
            hidden_states=tuple(hidden_states) if "hidden_states" in collect else None,
            **{name: tuple(of_layers) for name, of_layers in collected.items()},
        )
