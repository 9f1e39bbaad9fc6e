"""What a call asks an encoder to return beside the last hidden state, and of which layers."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TypeAlias

from limbeck.errors import SettingsError, did_you_mean
from limbeck.nn.attention import AttentionParts

COLLECTABLE = frozenset({"hidden_states", *AttentionParts._fields})

Collect: TypeAlias = AbstractSet[str | tuple[str, int]]
"""Names such as `queries`, for all layers, or pairs such as `("queries", 11)`, for one. The number
is the place among what is returned if all are asked for: 0 is the first layer, and of hidden states
the embeddings."""


def is_collected(collect: Collect, name: str, place: int) -> bool:
    """Tells whether what is called `name` is asked for in a place."""
    return name in collect or (name, place) in collect


def names_in(collect: Collect) -> set[str]:
    """Returns the names of what is asked for, of whichever layers."""
    return {asked if isinstance(asked, str) else asked[0] for asked in collect}


def count_layers_below(collect: Collect) -> int | None:
    """Returns how many layers have to run to give what is asked for; None for all.

    Example:
        >>> count_layers_below({("queries", 2), ("hidden_states", 2)})
        3
    """
    needed = [0]
    for asked in collect:
        if isinstance(asked, str):
            return None
        name, place = asked
        needed.append(place if name == "hidden_states" else place + 1)
    return max(needed)


def require_collectable(collect: Collect, *, num_layers: int) -> None:
    """Refuses what an encoder does not have.

    Raises:
        SettingsError: Names it and what there is.
    """
    for asked in sorted(collect, key=str):
        name, place = (asked, 0) if isinstance(asked, str) else asked
        if name not in COLLECTABLE:
            raise SettingsError(
                f"collect has '{name}'; accepted: {', '.join(sorted(COLLECTABLE))}."
                + did_you_mean(name, COLLECTABLE)
            )
        last = num_layers if name == "hidden_states" else num_layers - 1
        if not 0 <= place <= last:
            raise SettingsError(f"collect has {asked}; accepted: places from 0 to {last}")
