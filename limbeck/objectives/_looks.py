"""What losses look at in each of two models, which is all that is computed and kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from limbeck.losses import Loss, View, Views
from limbeck.models import ModelConfig
from limbeck.nn import (
    COLLECTABLE,
    Collect,
    EncoderOutput,
    ModelOutput,
    count_layers_below,
    is_collected,
)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What some losses look at in one model.

    Attributes:
        collect: What it has to return beside the last hidden state and logits.
        num_layers: How many of its layers that takes, from the bottom; None for all.
        layers: Of each loss that uses the model, the layers that it sees, in order; None for all.
    """

    collect: Collect
    num_layers: int | None
    layers: Mapping[str, Sequence[int] | None]

    @classmethod
    def of(
        cls, losses: Mapping[str, Loss], *, student: ModelConfig, teacher: ModelConfig | None
    ) -> tuple[Self, Self]:
        """Returns what losses look at in the student, and in the teacher.

        Raises:
            SettingsError: If a loss names a layer that there is not.
        """
        depths = student.num_places, 0 if teacher is None else teacher.num_places
        pairs = {name: loss.pair_layers(*depths) for name, loss in losses.items()}
        layers = [
            {
                name: None if paired is None else [pair[side] for pair in paired]
                for name, paired in pairs.items()
            }
            for side in (0, 1)
        ]
        taught = {name: loss for name, loss in losses.items() if loss.uses_teacher}
        return cls._of_one(losses, layers[0]), cls._of_one(taught, layers[1])

    @classmethod
    def _of_one(
        cls, losses: Mapping[str, Loss], layers: Mapping[str, Sequence[int] | None]
    ) -> Self:
        collect: set[str | tuple[str, int]] = set()
        needs_whole = False
        for name, loss in losses.items():
            seen = layers[name]
            needs_whole |= not loss.needs <= COLLECTABLE
            for view in COLLECTABLE & loss.needs:
                if seen is None:
                    collect.add(view)
                else:
                    collect |= {(view, _place(view, layer)) for layer in seen}
        return cls(
            collect=frozenset(collect),
            num_layers=None if needs_whole else count_layers_below(collect),
            layers={name: layers[name] for name in losses},
        )

    def views(
        self, name: str, needs: frozenset[View], output: EncoderOutput | ModelOutput | None
    ) -> Views:
        """Names what a loss needs of a model's output, but for logits.

        Nothing of None, or of a teacher that the loss does not use.
        """
        if output is None or name not in self.layers:
            return Views()
        views = {view: self._pick(name, view, output) for view in needs & COLLECTABLE}
        if "last_hidden_state" in needs:
            views["last_hidden_state"] = output.last_hidden_state
        if "pooled" in needs:
            pooled = getattr(output, "pooler_output", None)
            views["pooled"] = output.last_hidden_state[:, 0] if pooled is None else pooled
        return Views(**views)

    def _pick(
        self, name: str, view: str, output: EncoderOutput | ModelOutput
    ) -> Tensor | tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = getattr(output, view)
        layers = self.layers[name]
        if layers is None:
            return found
        places = [_place(view, layer) for layer in layers]
        # Only what some loss asked for is there, from the bottom up.
        kept = [p for p in range(1 + max(places)) if is_collected(self.collect, view, p)]
        return tuple(found[kept.index(place)] for place in places)


def _place(view: str, layer: int) -> int:
    """Returns where a layer, counted from 1, stands among those of a view."""
    return layer if view == "hidden_states" else layer - 1
