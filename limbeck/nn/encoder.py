"""The encoder: embeddings, then a stack of layers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from limbeck.nn.attention import AttentionParts
from limbeck.nn.collecting import Collect, is_collected, require_collectable
from limbeck.nn.embeddings import Embeddings
from limbeck.nn.layer import EncoderLayer
from limbeck.nn.masks import Reach, additive_mask, combine_masks, reach_mask
from limbeck.nn.outputs import EncoderOutput

_EXPLICIT = ("attentions", "attention_scores")
"""What fused attention does not have."""


@dataclass(frozen=True)
class _Around:
    """What all layers are given beside hidden states.

    Attributes:
        masks: What is added to the scores of layers with each reach.
        positions: What each layer's own `relative` or `rotation` module takes.
    """

    masks: dict[Reach | None, Tensor | None]
    positions: Tensor | None


class Encoder(nn.Module):
    """Turns token ids into one vector a token; what else it returns, each call decides.

    Args:
        embeddings: What the tokens start as.
        layers: The layers, each called as an `EncoderLayer` is; they may differ in heads and
            inner widths. An `nn.ModuleList` of them is one that runs as several: ALBERT's groups.
        order: Which layer runs in which place, for families that run one several times: `(0, 0,
            1, 1)`. If absent, each runs once, in the order given.
        projection: Between embeddings and layers, where these are of another width.
        position_bias: From the embedded tokens to what is added to the attention scores of every
            layer, broadcasting to (batch, heads, sequence, sequence); computed once a call.
        relative_positions: From the embedded tokens, and the positions if given, to what each
            layer's own `relative` or `rotation` module takes; computed once a call.
        reaches: How far the layer in each place sees; None, as a whole or for a place: everything.
        norm: After the last layer, where layers normalise their input and not their output.
    """

    def __init__(
        self,
        *,
        embeddings: Embeddings,
        layers: Iterable[nn.Module],
        order: Sequence[int] | None = None,
        projection: nn.Module | None = None,
        position_bias: nn.Module | None = None,
        relative_positions: nn.Module | None = None,
        reaches: Sequence[Reach | None] | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.layers = nn.ModuleList(layers)
        self.order = tuple(range(len(self.layers)) if order is None else order)
        self.projection = projection
        self.position_bias = position_bias
        self.relative_positions = relative_positions
        self.reaches = (None,) * len(self.order) if reaches is None else tuple(reaches)
        self.norm = norm
        assert set(self.order) == set(range(len(self.layers))), self.order
        assert len(self.reaches) == len(self.order), self.reaches

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        collect: Collect = frozenset(),
        num_layers: int | None = None,
    ) -> EncoderOutput:
        """Encodes a batch.

        Args:
            input_ids: Token ids.
            attention_mask: 1 for what may be seen, 0 elsewhere; None if everything may be.
            token_type_ids: Segment of each token; 0 if absent.
            position_ids: Position of each token; 0, 1, 2, ... if absent.
            collect: What to return beside the last hidden state: `hidden_states`, `queries`,
                `keys`, `values`, `attention_scores`, `attentions`; of all layers, or of one by a
                pair such as `("queries", 11)`, counted from 0, among hidden states from the
                embeddings. Attention is computed explicitly, and slower, only in layers of which
                one of the latter two is asked for.
            num_layers: Run only so many layers, from the bottom; the last hidden state is what
                these give.

        Shape:
            input_ids, token_type_ids: (batch, sequence).
            attention_mask: (batch, sequence), or (batch, sequence, sequence) to say for each
                token which others it sees.
            position_ids: (batch, sequence) or (1, sequence).

        Raises:
            SettingsError: If `collect` names something that an encoder does not have.
        """
        layers = self._run_order()
        require_collectable(collect, num_layers=len(layers))
        hidden = self._embed(input_ids, token_type_ids, position_ids)
        around = self._look_around(hidden, attention_mask, position_ids)
        collected: dict[str, list[Tensor]] = {}

        def keep(name: str, place: int, tensor: Tensor | None) -> None:
            if tensor is not None and is_collected(collect, name, place):
                collected.setdefault(name, []).append(tensor)

        keep("hidden_states", 0, hidden)
        for place in range(len(layers[:num_layers])):
            is_explicit = any(is_collected(collect, name, place) for name in _EXPLICIT)
            hidden, parts = self._run_place(layers, place, hidden, around, explicit=is_explicit)
            for name, part in zip(parts._fields, parts, strict=True):
                keep(name, place, part)
            keep("hidden_states", 1 + place, hidden)
        return EncoderOutput(
            last_hidden_state=hidden,
            **{name: tuple(of_layers) for name, of_layers in collected.items()},
        )

    def iterate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Generator[Tensor, Tensor | None, None]:
        """Yields the hidden states after each layer, from the bottom, and runs no layer ahead.

        What is sent back says which rows of the batch go on, by their places; None sends all on.
        The last states are those that `forward` gives, to the bit where no row was left out.

        Args:
            input_ids: As in `forward`, like the next three.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.

        Shape:
            sent: (rows that go on,).
            yielded: (rows that went on, sequence, hidden_size).
        """
        layers = self._run_order()
        hidden = self._embed(input_ids, token_type_ids, position_ids)
        around = self._look_around(hidden, attention_mask, position_ids)
        for place in range(len(layers)):
            hidden, _ = self._run_place(layers, place, hidden, around, explicit=False)
            kept = yield hidden
            if kept is None:
                continue
            if attention_mask is not None:
                attention_mask = attention_mask[kept]
            if position_ids is not None and len(position_ids) == len(hidden):
                position_ids = position_ids[kept]
            hidden = hidden[kept]
            around = self._look_around(hidden, attention_mask, position_ids)

    def _embed(
        self, input_ids: Tensor, token_type_ids: Tensor | None, position_ids: Tensor | None
    ) -> Tensor:
        hidden: Tensor = self.embeddings(input_ids, token_type_ids, position_ids)
        return hidden if self.projection is None else self.projection(hidden)

    def _look_around(
        self, hidden: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None
    ) -> _Around:
        positions = None
        if self.relative_positions is not None:
            positions = self.relative_positions(hidden, position_ids)
        return _Around(masks=self._make_masks(hidden, attention_mask), positions=positions)

    def _run_place(
        self,
        layers: Sequence[tuple[nn.Module, Reach | None]],
        place: int,
        hidden: Tensor,
        around: _Around,
        *,
        explicit: bool,
    ) -> tuple[Tensor, AttentionParts]:
        """Runs the layer of a place, and after the last what normalises it."""
        layer, reach = layers[place]
        mask = self._mask_of(layer, around.masks[reach])
        hidden, parts = layer(hidden, mask, around.positions, explicit=explicit)
        if self.norm is not None and place == len(layers) - 1:
            hidden = self.norm(hidden)
        return hidden, parts

    def _run_order(self) -> list[tuple[nn.Module, Reach | None]]:
        """Returns the layers as they run, each with how far it sees."""
        return [
            (layer, reach)
            for index, reach in zip(self.order, self.reaches, strict=True)
            for layer in _run_of(self.layers[index])
        ]

    def _mask_of(self, layer: nn.Module, mask: Tensor | None) -> Tensor | None:
        """Returns a mask as a layer takes it that may lack heads for which there is a bias."""
        if mask is None or self.position_bias is None or not isinstance(layer, EncoderLayer):
            return mask
        return layer.attention.take_heads(mask)

    @property
    def num_layers(self) -> int:
        """How many layers run, one after another."""
        return len(self._run_order())

    def list_running(self) -> list[nn.Module]:
        """Returns the layers in the order in which they run; one may run several times."""
        return [layer for layer, _ in self._run_order()]

    def layer_at(self, place: int) -> nn.Module:
        """Returns the layer that runs in a place, counted from 0."""
        return self.layers[self.order[place]]

    def plain_layer_at(self, place: int) -> EncoderLayer:
        """Returns the layer of a place, which must be an attention and one feed-forward.

        Only of a family whose configuration may have `layer_shapes` is that certain.
        """
        layer = self.layer_at(place)
        assert isinstance(layer, EncoderLayer), type(layer)
        return layer

    def parameter_depths(self) -> dict[str, int]:
        """Returns for each parameter's name how far up it stands, for layer-wise learning rates.

        0 are embeddings and what else comes before the layers, 1 the first place's layer, ..., and
        above the last is what stands on it. A layer that runs in several places counts in the last.
        """
        top = 1 + len(self.order)
        depths = {name: 0 for name, _ in self.named_parameters()}
        for place, index in enumerate(self.order):
            for name, _ in self.layers[index].named_parameters(prefix=f"layers.{index}"):
                depths[name] = 1 + place
        if self.norm is not None:
            depths |= {name: top for name, _ in self.norm.named_parameters(prefix="norm")}
        return depths

    def _make_masks(
        self, hidden: Tensor, attention_mask: Tensor | None
    ) -> dict[Reach | None, Tensor | None]:
        """Returns what is added to the scores of layers with each reach."""
        given = (
            None if attention_mask is None else additive_mask(attention_mask, dtype=hidden.dtype)
        )
        bias = None if self.position_bias is None else self.position_bias(hidden)
        masks: dict[Reach | None, Tensor | None] = {}
        for reach in dict.fromkeys(self.reaches):
            own = None if reach is None else reach_mask(reach, hidden.shape[1], like=hidden)
            mask = combine_masks(given, own)
            masks[reach] = mask if bias is None else bias if mask is None else mask + bias
        return masks


def _run_of(layer: nn.Module) -> Iterable[nn.Module]:
    """Returns what runs one after another in a layer's place."""
    return layer if isinstance(layer, nn.ModuleList) else (layer,)
