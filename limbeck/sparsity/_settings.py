"""What every method of pruning has: when it prunes, how masks are set, what it adds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from limbeck import listing
from limbeck.config import Settings
from limbeck.errors import SettingsError, did_you_mean, shorten
from limbeck.models import Model
from limbeck.sparsity._linears import list_linears
from limbeck.sparsity._mask import Factors, Mask, MaskedLinear
from limbeck.sparsity._schedule import share_left
from limbeck.sparsity._top import Scope, keep_share

ROOM = "limbeck.sparsity"

Density = Annotated[float, Field(gt=0, lt=1)]
"""Share of weights that stay."""
Ratio = Annotated[float, Field(ge=0, le=1)]
"""Share of a run."""


class SparsitySettings(Settings):
    """Base of the settings; a method's module has its own as `SettingsType`."""

    start: ClassVar[float | None] = None
    """What its scores start as; None for a method without scores."""

    empties_units: ClassVar[bool] = False
    """Whether whole heads and neurons end up without weights, so that they can be taken out."""

    method: str
    """Name of the method, as `limbeck list sparsity` shows it."""
    warmup_ratio: Ratio = 0.1
    """Share of the run in which nothing is pruned yet, but scores are learned. By default, as in
    the article on SQuAD, one epoch of ten."""
    cooldown_ratio: Ratio = 0.2
    """Share of the run at its end in which nothing more is pruned; of its validations alone the
    best is kept. By default two epochs of ten."""

    @property
    def rate_of_scores(self) -> float | None:
        """Peak learning rate of the scores; None without them."""
        return None

    def left_at(self, step: int, num_steps: int) -> float:
        """Returns how much of the way to the goal is left after a step: from 1 to 0."""
        return share_left(
            step,
            num_steps,
            warmup_ratio=self.warmup_ratio,
            cooldown_ratio=self.cooldown_ratio,
        )

    def build_masks(self, model: Model) -> Mapping[nn.Linear, Factors]:
        """Makes the masks of what is pruned, which mask nothing yet: of all the layers' weights.

        Raises:
            SettingsError: If the method can't prune such a model.
        """
        return {linear: self.build_mask(linear.weight) for _, _, linear in list_linears(model)}

    def build_mask(self, weight: Tensor) -> Mask:
        """Makes the mask of a weight of its own."""
        return Mask(weight, start=self.start)

    @abstractmethod
    def set_masks(
        self, layers: Sequence[MaskedLinear], *, left: float, generator: torch.Generator
    ) -> None:
        """Sets the masks of all layers, without gradient.

        Args:
            layers: All that are pruned.
            left: How much of the way to the goal is left.
            generator: Draws whatever the method draws in a step.
        """

    def penalise(
        self,
        layers: Sequence[MaskedLinear],  # noqa: ARG002
        *,
        left: float,  # noqa: ARG002
    ) -> Tensor | None:
        """Returns what is added to the objective of a step, a scalar; None if nothing is."""
        return None

    @model_validator(mode="after")
    def _require_time_to_prune(self) -> Self:
        if self.warmup_ratio + self.cooldown_ratio > 1:
            raise SettingsError(
                f"sparsify: warmup_ratio = {self.warmup_ratio:g} and cooldown_ratio = "
                f"{self.cooldown_ratio:g} are more than the whole run; accepted: at most 1 together"
            )
        if self.start is not None and self.cooldown_ratio == 1:
            raise SettingsError(
                f"sparsify: cooldown_ratio = 1 prunes before the first step, when all scores of "
                f"{self.method} are still alike; accepted: below 1"
            )
        return self


class CountedSettings(SparsitySettings):
    """Base of the methods that keep a given share, that of the highest rating, at every step."""

    density: Density
    """Share of the weights that stay, exactly; 0.15 is what PruneBERT kept."""
    scope: Scope = "local"
    """`local` keeps the share of each matrix; `global` of all together, at least 0.5 % of each."""

    @abstractmethod
    def rate(self, layer: MaskedLinear) -> Tensor:
        """Returns how much each weight of a layer is worth keeping."""

    def set_masks(
        self,
        layers: Sequence[MaskedLinear],
        *,
        left: float,
        generator: torch.Generator,  # noqa: ARG002
    ) -> None:
        """Keeps the share that the schedule is at."""
        density = self.density + (1 - self.density) * left
        ratings = [self.rate(layer) for layer in layers]
        for layer, kept in zip(layers, keep_share(ratings, density, scope=self.scope), strict=True):
            mask_of(layer).kept = kept


class PenalisedSettings(SparsitySettings):
    """Base of the methods that leave how many weights stay to a penalty, which grows meanwhile.

    From the cool-down on the scores rest, so that the weights left are the same to the end.
    """

    penalty: float = Field(gt=0, allow_inf_nan=False)
    """What is added to the loss, times the mean over all weights that are pruned; it grows from 0
    as the schedule goes on. The more, the fewer weights stay."""
    learning_rate: float = Field(default=1e-2, gt=0, allow_inf_nan=False)
    """Peak learning rate of the scores, on the schedule of the run; by default the article's."""
    density: Density | None = None
    """At most this share of the weights stays from the cool-down on, those of the highest scores
    of all matrices together; None leaves it to the penalty, and the run says how many stay."""

    @property
    def rate_of_scores(self) -> float | None:
        """Peak learning rate of the scores."""
        return self.learning_rate

    @abstractmethod
    def choose(self, layer: MaskedLinear, *, left: float, generator: torch.Generator) -> Tensor:
        """Returns which weights of a layer stay."""

    @abstractmethod
    def sum_penalty(self, scores: Tensor) -> Tensor:
        """Returns the sum over a matrix of what is penalised, a scalar."""

    def set_masks(
        self, layers: Sequence[MaskedLinear], *, left: float, generator: torch.Generator
    ) -> None:
        """Keeps what the scores say, and in the end no more than `density`."""
        is_final = left == 0
        kept = [self.choose(layer, left=left, generator=generator) for layer in layers]
        if is_final and self.density is not None:
            most = keep_share([scores_of(each) for each in layers], self.density, scope="global")
            kept = [each & bound for each, bound in zip(kept, most, strict=True)]
        for layer, of_layer in zip(layers, kept, strict=True):
            mask_of(layer).kept = of_layer
            scores_of(layer).requires_grad_(not is_final)

    def penalise(self, layers: Sequence[MaskedLinear], *, left: float) -> Tensor | None:
        """Returns the penalty times the mean over all weights, as far as it has grown."""
        scores = [scores_of(layer) for layer in layers]
        total = sum((self.sum_penalty(each) for each in scores), scores[0].new_zeros(()))
        return self.penalty * (1 - left) * total / sum(each.numel() for each in scores)


def mask_of(layer: MaskedLinear) -> Mask:
    """Returns the mask of a layer that has one of its own."""
    assert isinstance(layer.mask, Mask)
    return layer.mask


def scores_of(layer: MaskedLinear) -> nn.Parameter:
    """Returns the scores of a layer that has them."""
    scores = mask_of(layer).scores
    assert scores is not None
    return scores


def build_sparsity(values: Any, *, where: str = "sparsify") -> Any:
    """Makes a method's settings of a table, and passes on what is no table for others to refuse.

    Args:
        values: Such as `{"method": "movement", "density": 0.15}`.
        where: What the message of an error begins with.

    Raises:
        SettingsError: If the name is missing or there is no such method, or a setting is wrong.
    """
    if not isinstance(values, Mapping):
        return values
    names = listing.list_names(ROOM)
    method = str(values.get("method", "")).replace("-", "_")
    if method not in names:
        given = f".method = {shorten(method)} is none" if method else " names no method"
        raise SettingsError(
            f"{where}{given}; accepted: {where}.method = {', '.join(names)}."
            + did_you_mean(method, names)
        )
    settings_type: type[SparsitySettings] = listing.load(ROOM, method).SettingsType
    return settings_type.from_values({**values, "method": method}, where=where)


Sparsify = Annotated[SerializeAsAny[SparsitySettings], BeforeValidator(build_sparsity)]
"""How a recipe's model is pruned: a table with a method's name and its settings."""
