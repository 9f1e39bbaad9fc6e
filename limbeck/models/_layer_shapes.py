"""Layers that are not all alike: which heads each has, and how many inner neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from limbeck.errors import shorten

if TYPE_CHECKING:
    from limbeck.nn import Encoder

ACCEPTED: Final = 'a list with {"heads": [NUMBERS], "neurons": NUMBER} for each layer, or null'


@dataclass(frozen=True)
class LayerShape:
    """What a layer has.

    Attributes:
        heads: Which of the family's attention heads are left, by their numbers in a layer that has
            all, ascending; none of a layer without attention, which adds the output's bias alone.
        neurons: How many inner neurons its feed-forward has; 0 likewise.
    """

    heads: tuple[int, ...]
    neurons: int


def read_layer_shapes(value: Any) -> Any:
    """Returns what stands in `config.json` as shapes; what is none, as it is."""
    if not isinstance(value, list | tuple):
        return value
    shapes = [_read_layer_shape(one) for one in value]
    return value if None in shapes else tuple(shapes)


def are_layer_shapes(value: Any) -> bool:
    """Tells whether `read_layer_shapes` made shapes of it, or there are none."""
    return value is None or (
        isinstance(value, tuple) and all(isinstance(one, LayerShape) for one in value)
    )


def _read_layer_shape(value: Any) -> LayerShape | None:
    given = vars(value) if isinstance(value, LayerShape) else value
    if not isinstance(given, Mapping) or given.keys() != {"heads", "neurons"}:
        return None
    heads, neurons = given["heads"], given["neurons"]
    if not isinstance(heads, list | tuple) or not all(map(_is_int, (*heads, neurons))):
        return None
    return LayerShape(heads=tuple(heads), neurons=neurons)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def find_faults(
    shapes: Sequence[LayerShape], *, num_layers: int, num_heads: int, most_neurons: int
) -> list[str]:
    """Returns what is wrong with shapes, in words: of the layers, the first that is wrong.

    Args:
        shapes: Of the layers, from the bottom up.
        num_layers: How many layers there are.
        num_heads: How many heads a layer has at most.
        most_neurons: How many inner neurons.
    """
    if len(shapes) != num_layers:
        return [
            f"layer_shapes has {len(shapes)} layers; accepted: as many as there are, {num_layers}"
        ]
    for place, shape in enumerate(shapes):
        has = f"layer_shapes: layer {place} has"
        numbers = ", ".join(map(str, shape.heads))
        if list(shape.heads) != sorted(set(shape.heads)):
            return [f"{has} the heads {shorten(numbers)}; accepted: ascending numbers, each once"]
        if shape.heads and not 0 <= shape.heads[0] <= shape.heads[-1] < num_heads:
            return [f"{has} the heads {shorten(numbers)}; accepted: some of 0 to {num_heads - 1}"]
        if not 0 <= shape.neurons <= most_neurons:
            return [f"{has} {shorten(shape.neurons)} neurons; accepted: 0 to {most_neurons}"]
    return []


def are_plain(shapes: Sequence[LayerShape], *, num_heads: int) -> bool:
    """Tells whether layers of these shapes are all alike, and have all heads and some neurons."""
    one = shapes[0]
    return len(set(shapes)) == 1 and len(one.heads) == num_heads and one.neurons > 0


def cut_layers(encoder: Encoder, shapes: Sequence[LayerShape]) -> None:
    """Cuts the layers of an encoder that was built with all heads and neurons, in place."""
    for place, shape in enumerate(shapes):
        layer = encoder.plain_layer_at(place)
        layer.attention.keep_heads(shape.heads)
        layer.feed_forward.keep_neurons(range(shape.neurons))
