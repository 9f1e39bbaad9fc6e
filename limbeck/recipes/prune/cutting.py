"""One cut: which units of a model stay, and the model that has these alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from limbeck.errors import SettingsError
from limbeck.methods import keep_layers
from limbeck.methods._choosing import Units, choose_best, choose_worthiest
from limbeck.methods._importance import UnitScores
from limbeck.methods._unit_costs import LayerCost, count_operations, count_weights, sum_costs
from limbeck.methods.keep_layers import KeepLayersSettings, choose_layers
from limbeck.methods.prune_units import count_share, keep_units
from limbeck.methods.prune_width import count_width, keep_width
from limbeck.models import Model
from limbeck.recipes.prune.settings import PruneSettings


@dataclass(frozen=True)
class Shape:
    """How large a model is, and what its layers still have.

    Attributes:
        num_heads: Of each layer.
        num_neurons: Of each layer.
        width: Of the hidden states.
        num_parameters: Of the whole model.
        num_operations: Of its layers on a text of some length.
    """

    num_heads: tuple[int, ...]
    num_neurons: tuple[int, ...]
    width: int
    num_parameters: int
    num_operations: int

    @classmethod
    def of(cls, model: Model, *, num_tokens: int) -> Self:
        """Returns the shape of a model, with its operations on a text of so many tokens."""
        costs = count_operations(model, num_tokens=num_tokens)
        return cls(
            num_heads=tuple(cost.num_heads for cost in costs),
            num_neurons=tuple(cost.num_neurons for cost in costs),
            width=model.config.hidden_size,
            num_parameters=model.num_parameters,
            num_operations=sum_costs(costs),
        )


@dataclass(frozen=True)
class Target:
    """What is left of a model's units after a round.

    Attributes:
        layers: Layers of the model as it was given that stay.
        num_heads: Heads of each of these; None where `budget` decides.
        num_neurons: Neurons of each; likewise.
        width: Dimensions of the hidden states; None for all.
        budget: What all units may cost together; None where counts decide.
    """

    layers: tuple[int, ...]
    num_heads: tuple[int, ...]
    num_neurons: tuple[int, ...]
    width: int | None
    budget: float | None


@dataclass(frozen=True)
class Schedule:
    """What each round leaves of a model.

    Attributes:
        settings: Of the run.
        costs: Of the layers of the model as it was given.
        layers: Those that stay.
        num_tokens: Usual length of a text.
        width: Of the hidden states of the model as it was given.
    """

    settings: PruneSettings
    costs: Sequence[LayerCost]
    layers: tuple[int, ...]
    num_tokens: int
    width: int

    @classmethod
    def plan(cls, settings: PruneSettings, model: Model, *, num_tokens: int) -> Self:
        """Makes the schedule, and refuses shares that leave a layer nothing.

        Args:
            settings: Of the run.
            model: As it was given.
            num_tokens: Usual length of a text.

        Raises:
            SettingsError: Names the share, the layer and what is accepted.
        """
        every = tuple(range(model.config.num_places))
        layers = every
        if settings.layers is not None:
            layers = choose_layers(settings.layers, num_teacher_layers=len(every))
            if layers == every:
                raise SettingsError(
                    f"layers = {settings.layers!r} keeps all {len(every)} layers of "
                    f"{settings.model}; leave it out, or keep fewer"
                )
        costs = _costs(settings, model, num_tokens=num_tokens)
        found = cls(settings, costs, layers, num_tokens, model.config.hidden_size)
        found._require_units()
        if settings.width is not None:
            count_width(model.config, settings.width)
        found._require_steps()
        return found

    @property
    def removes_units(self) -> bool:
        """Whether the result has fewer heads, neurons or layers, and no zeros in their place."""
        return self.settings.sparsity is None or self.settings.sparsity.empties_units

    def target(self, number: int, *, num_rounds: int | None = None) -> Target:
        """Returns what round `number`, counted from 1, leaves; of as many as there are, or so many.

        Round 0 leaves all of the layers that stay.
        """
        power = number / (num_rounds or self.settings.num_rounds)
        heads, neurons = self.settings.shares
        kept = [self.costs[layer] for layer in self.layers]
        keep, width = self.settings.share_of_all, self.settings.width
        return Target(
            layers=self.layers,
            num_heads=tuple(count_share(cost.num_heads, heads**power) for cost in kept),
            num_neurons=tuple(count_share(cost.num_neurons, neurons**power) for cost in kept),
            width=None if width is None else count_share(self.width, width**power),
            budget=None if keep is None else keep**power * sum_costs(self.costs),
        )

    def choose(self, model: Model, scores: UnitScores, *, number: int) -> Units:
        """Returns the units that a round leaves of a model, by their scores.

        Args:
            model: As the round before has left it, or as it was given.
            scores: Of that model's units.
            number: Of the round, from 1.
        """
        target = self.target(number)
        if number == 1:
            scores = scores.of_layers(self.layers)
        if target.budget is None:
            return choose_best(
                scores,
                num_heads=target.num_heads,
                num_neurons=target.num_neurons,
                width=target.width,
            )
        costs = _costs(self.settings, model, num_tokens=self.num_tokens)
        if number == 1:
            costs = [costs[layer] for layer in self.layers]
        return choose_worthiest(scores, costs, budget=target.budget)

    def count_units(self) -> tuple[Sequence[int], Sequence[int], int | None]:
        """Returns about what is left at the end: heads and neurons of each layer, and the width.

        Exactly, but where layers compete: then as if each kept the same share.
        """
        last = self.target(self.settings.num_rounds)
        if last.budget is None:
            return last.num_heads, last.num_neurons, last.width
        kept = [self.costs[layer] for layer in self.layers]
        share = min(1.0, last.budget / sum_costs(kept))
        return (
            [_count_some(cost.num_heads, share) for cost in kept],
            [_count_some(cost.num_neurons, share) for cost in kept],
            None,
        )

    def cut(self, model: Model, units: Units, *, number: int) -> Model:
        """Returns the model of some units, and in the first round of the layers that stay."""
        if number == 1 and len(self.layers) < model.config.num_places:
            model = keep_layers.apply(model, KeepLayersSettings(layers=self.layers))
        small = keep_units(model, units.heads, units.neurons)
        return small if units.width is None else keep_width(small, units.width)

    def _require_steps(self) -> None:
        """Refuses rounds of which one would train what the one before has trained.

        As many as there are by default are made of every model.
        """
        wanted = self.settings.num_rounds
        usual = type(self.settings).model_fields["rounds"].default
        if wanted <= usual:
            return
        idle = self._find_idle(wanted)
        if idle is None:
            return
        most = next(n for n in range(wanted - 1, 0, -1) if n <= usual or self._find_idle(n) is None)
        raise SettingsError(
            f"rounds = {wanted}: in round {idle} nothing would go, as its share is less than one "
            f"head, neuron or dimension; accepted: 1 to {most}"
        )

    def _find_idle(self, num_rounds: int) -> int | None:
        """Returns the first of so many rounds in which nothing goes; None if something always does.

        One round is never idle, and layers go in the first.
        """
        targets = [self.target(n, num_rounds=num_rounds) for n in range(num_rounds + 1)]
        kept = [self.costs[layer] for layer in self.layers]
        cheapest = min(unit for cost in kept for unit in (cost.head, cost.neuron))
        for number, (before, after) in enumerate(itertools.pairwise(targets), start=1):
            if before.budget is not None and after.budget is not None:
                is_idle = before.budget - after.budget < cheapest
            else:
                is_idle = before == after
            loses_layers = number == 1 and len(self.layers) < len(self.costs)
            if is_idle and not loses_layers and num_rounds > 1:
                return number
        return None

    def _require_units(self) -> None:
        last = self.target(self.settings.num_rounds)
        of_kind = zip(
            ("heads", "neurons"),
            self.settings.shares,
            (last.num_heads, last.num_neurons),
            strict=True,
        )
        for name, share, counts in of_kind:
            for layer, count in zip(self.layers, counts, strict=True):
                number = getattr(self.costs[layer], f"num_{name}")
                if count == 0 < number:
                    raise SettingsError(
                        f"{name} = {share:g} leaves layer {layer} none of its {number} {name}; "
                        # From half a unit on, which is rounded up.
                        f"accepted: {_round_up(0.5 / number)} to 1, at least one of each layer"
                    )
        if last.budget is None or self.settings.method is not None:  # which may take all of a layer
            return
        least = sum(self.costs[layer].least for layer in self.layers)
        if last.budget < least:
            raise SettingsError(
                f"keep = {self.settings.keep:g} is less than one head and one neuron of each of "
                f"{len(self.layers)} layers; accepted: {_round_up(least / sum_costs(self.costs))} "
                "to 1, or fewer layers"
            )


def _costs(settings: PruneSettings, model: Model, *, num_tokens: int) -> list[LayerCost]:
    if settings.cost == "flops":
        return count_operations(model, num_tokens=num_tokens)
    return count_weights(model)


def _count_some(number: int, share: float) -> int:
    """Returns a share of some units, at least one of any."""
    return max(min(1, number), count_share(number, share))


def _round_up(share: float) -> str:
    """Returns a share with three digits that is not below it.

    Example:
        >>> _round_up(1 / 12), _round_up(0.5), _round_up(1 / 3072)
        ('0.0834', '0.5', '0.000326')
    """
    step = 10 ** (math.floor(math.log10(share)) - 2)
    return f"{math.ceil(share / step) * step:.3g}"
