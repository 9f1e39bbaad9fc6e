"""The settings of `prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from limbeck import listing
from limbeck.config import Shown
from limbeck.errors import SettingsError, did_you_mean, shorten
from limbeck.recipes._importance import USUAL_ROWS, Importance
from limbeck.recipes._settings import LearningSettings, refuse_percent
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.sparsity import SparsitySettings, build_sparsity

_OF_RANKING = ("heads", "neurons", "width", "layers", "keep", "cost", "importance", "rounds")
"""Settings of what is done without a `method`."""


class PruneSettings(LearningSettings, TaskSettings):
    """A fine-tuned model, its task, and how much of its encoder stays."""

    model: Shown[str]
    """Folder or Hub id of a model that is fine-tuned on the task."""
    out: Shown[Path] = Path("pruned")
    """Run folder; the same command given again goes on where a run stopped."""
    max_length: int = Field(default=128, ge=8)
    """Longest input in tokens, special tokens included; if not given, as the model has learned."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """One run each in each round; the best goes on."""

    method: Shown[str | None] = None
    """A way to prune while the task is learned, as `limbeck list sparsity` shows them, in place of
    shares and `importance`. `cofi` and `block_movement` empty heads, neurons and whole blocks,
    which are then taken out, and what is left is trained once more; the others leave zeros, and a
    model that is as fast as before and small to store."""
    density: Shown[float | None] = Field(default=None, gt=0, lt=1)
    """Share of the layers' weights that a `method` leaves, such as 0.15."""
    sparsify: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the method, as `limbeck init METHOD` shows them, such as
    `sparsify.learning_rate=0.05`."""
    heads: Shown[float | None] = Field(default=None, gt=0, le=1)
    """Share of the attention heads that stays in each layer; half of both heads and neurons where
    nothing is said of what stays."""
    neurons: Shown[float | None] = Field(default=None, gt=0, le=1)
    """Share of the feed-forward neurons that stays in each layer."""
    width: float | None = Field(default=None, gt=0, le=1)
    """Share of the hidden states' dimensions that stays, the same ones in all layers."""
    layers: int | str | tuple[int, ...] | None = None
    """Layers that stay, as `keep_layers` of `finetune` takes them; the others go in the first
    round."""
    keep: Shown[float | None] = Field(default=None, gt=0, le=1)
    """Share of all heads and neurons that stays, in place of `heads` and `neurons`: those of all
    layers are ranked together, by importance for what they cost."""
    cost: Literal["parameters", "flops"] = "parameters"
    """What `keep` is a share of: their weights, or their operations on a text of usual length."""
    importance: Importance = "taylor"
    """What tells which heads and neurons stay: `taylor`, how much the loss on training rows would
    change without one; `fisher`, how far the model's answers would move, for rows without labels;
    `norm`, its weights alone; `random`, chance."""
    importance_rows: int = Field(default=USUAL_ROWS, ge=1)
    """Training rows that importance is measured on, taken evenly from all."""
    rounds: int = Field(default=2, ge=1, le=100)
    """Steps in which it is cut, each of which leaves the same share of what the one before left,
    and trains what it left; one where nothing but layers goes."""
    epochs: Shown[float] = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples in each round."""
    distil: bool = True
    """Whether each round learns from the model as it was given, beside the labels; false learns
    from the labels alone."""
    measure: bool = True
    """Measure the speed and memory of both models at the end."""
    finetune: dict[str, Any] = Field(default_factory=dict)
    """Further settings of `finetune` for every round, such as `finetune.patience=2`."""

    _refuse_percent = field_validator(
        "heads", "neurons", "width", "keep", "density", mode="before"
    )(refuse_percent)

    @model_validator(mode="after")
    def _require_one_way(self) -> Self:
        if self.method is None:
            if self.density is not None or self.sparsify:
                given = "sparsify" if self.density is None else f"density = {self.density:g}"
                raise SettingsError(
                    f"{given} is for a method, but there is none; give method = 'cofi' or another "
                    "one, or keep, a share of heads and neurons, in place of it"
                )
            return self
        for name in _OF_RANKING:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise SettingsError(
                    f"{name} = {value!r} ranks heads and neurons, and method = '{self.method}' "
                    "learns what stays; leave one of them out"
                )
        assert self.sparsity is not None
        return self

    @model_validator(mode="after")
    def _require_something_to_cut(self) -> Self:
        each = {"heads": self.heads, "neurons": self.neurons, "width": self.width}
        given = {name: share for name, share in each.items() if share is not None}
        if self.keep is not None and given:
            name = next(iter(given))
            raise SettingsError(
                f"keep = {self.keep:g} ranks heads and neurons of all layers together, and {name} "
                f"= {given[name]:g} is a share of each layer; leave one of them out"
            )
        if self.keep is not None and self.importance in ("norm", "random"):
            raise SettingsError(
                f"keep = {self.keep:g} weighs heads against neurons by what going without them "
                f"would cost, which importance = '{self.importance}' does not say; accepted: "
                "taylor, fisher"
            )
        if self.layers is None and not self.chooses_units and self.method is None:
            raise SettingsError(
                "nothing would be pruned; give a share below 1, such as heads = 0.5, neurons = 0.5 "
                "or keep = 0.5"
            )
        return self

    @property
    def sparsity(self) -> SparsitySettings | None:
        """How weights are pruned while the task is learned; None where units are ranked.

        Raises:
            SettingsError: If there is no such method, or its settings are wrong.
        """
        if self.method is None:
            return None
        names, name = listing.list_names("limbeck.sparsity"), self.method.replace("-", "_")
        if name not in names:
            raise SettingsError(
                f"method = {shorten(self.method)} is none; accepted: {', '.join(names)}."
                + did_you_mean(name, names)
            )
        twice = next((one for one in ("method", "density") if one in self.sparsify), None)
        if twice is not None:
            raise SettingsError(
                f"sparsify.{twice} = {self.sparsify[twice]!r} is another word for {twice}; "
                f"accepted: {twice} = {self.sparsify[twice]!r}"
            )
        given = {} if self.density is None else {"density": self.density}
        of_method = listing.load("limbeck.sparsity", name).SettingsType.model_fields
        if not given and of_method["density"].is_required():
            raise SettingsError(
                f"method = '{self.method}' keeps a share of the weights; give density, such as "
                "density = 0.5"
            )
        built: SparsitySettings = build_sparsity({"method": name, **self.sparsify, **given})
        return built

    @property
    def share_of_all(self) -> float | None:
        """Share of the weights of all heads and neurons that stays, where layers compete."""
        empties_units = self.sparsity is not None and self.sparsity.empties_units
        return self.density if empties_units else self.keep

    @property
    def shares(self) -> tuple[float, float]:
        """What stays of each layer's heads, and of its neurons."""
        asked = (self.heads, self.neurons, self.width, self.keep, self.layers, self.method)
        if all(given is None for given in asked):
            return 0.5, 0.5
        return self.heads or 1.0, self.neurons or 1.0

    @property
    def chooses_units(self) -> bool:
        """Whether heads, neurons or dimensions go, and not layers alone."""
        shares = (*self.shares, self.width or 1, self.keep or 1)
        return any(share < 1 for share in shares)

    @property
    def num_rounds(self) -> int:
        """How many rounds there are: layers all go in the first.

        What a method has emptied is taken out in a second one.
        """
        if self.sparsity is not None:
            return 2 if self.sparsity.empties_units else 1
        return self.rounds if self.chooses_units else 1

    @model_validator(mode="after")
    def _require_teacher(self) -> Self:
        if self.distil:
            return self
        named = next(iter(self.losses), None)
        if named is not None or self.label_weight == 0:
            given = "label_weight = 0" if named is None else f"losses.{named}"
            raise SettingsError(
                f"{given} learns from the model as it was given, which distil = false leaves out; "
                "leave one of them out"
            )
        return self
