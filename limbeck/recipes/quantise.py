"""Narrow a model's weights to eight or four bits, and prove what it keeps; see `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator

from limbeck import listing
from limbeck.config import Shown
from limbeck.errors import SettingsError, did_you_mean
from limbeck.export import list_trained, load_target
from limbeck.recipes import export
from limbeck.recipes._settings import RunSettings, take_one
from limbeck.recipes.export.settings import ExportSettings, ProofSettings, require_each_once
from limbeck.recipes.export.training import TrainingForFormat
from limbeck.recipes.finetune.settings import TrainedBits
from limbeck.runs import ExportRecord
from limbeck.train import Progress

_AWARE: Final = "aware"
"""The method that trains the model for what it is exported to."""
_USUAL: Final = ("int8",)
_USUAL_BITS: Final = 4
_ROUNDED: Final = (8, 4)


class _ByMethods(RunSettings):
    model: Shown[str]
    """Model folder or Hub id, with its tokenizer; in float, as it was trained."""
    method: Shown[tuple[str, ...] | None] = None
    """Method, or several: int8, which it is by default, int8-static, int4 or gptq; or aware, which
    trains the model."""
    out: Shown[Path]
    """Run folder; the model is in its folder `model`, several are in `models`."""
    bits: Shown[TrainedBits | None] = None
    """In place of a method, the bits of most weights: 8 or 4, each rounded by itself. Matrices that
    are sensitive to it get 8, then float, the fewest that `max_drop` needs, as with `repair`. Of
    `aware` what is trained for: 8, 4 or 2, by default 4."""
    finetune: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the training of `aware`, as those of `finetune`: `finetune.epochs=5`."""

    _take_one = field_validator("method", mode="before")(take_one)

    @model_validator(mode="after")
    def _require_a_way(self) -> Self:
        choose_way(self.method, bits=self.bits, finetune=self.finetune)
        return self


class QuantiseSettings(ProofSettings, _ByMethods):
    """A model, how its weights are narrowed, and what may be lost by that."""

    @property
    def way(self) -> Way:
        """What the method and the bits come to.

        Raises:
            SettingsError: If there is no such method, or not each is given once.
        """
        return choose_way(self.method, bits=self.bits, finetune=self.finetune)

    def to_export(self) -> ExportSettings:
        """Returns the export that it is: to the files that ONNX Runtime runs."""
        values = self.model_dump(exclude={"method", "bits", "finetune"}, exclude_unset=True)
        return ExportSettings.from_values({**self.way.settings, **values}, where="quantise")


SettingsType = QuantiseSettings
summarise = export.summarise


def run(settings: QuantiseSettings, *, progress: Progress) -> ExportRecord:
    """Exports the model as each method says; the run is an export's, and raises what that raises.

    Raises:
        SettingsError: If there is no such method.
    """
    return export.run(settings.to_export(), progress=progress, training=settings.way.training)


def plan(settings: QuantiseSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    return export.plan(settings.to_export(), training=settings.way.training)


@dataclass(frozen=True, kw_only=True)
class Way:
    """What methods and bits come to.

    Attributes:
        settings: Those of the export that they decide, where nothing else was asked for.
        training: What the model learns before it; None for nothing.
    """

    settings: Mapping[str, Any]
    training: TrainingForFormat | None = None


def choose_way(
    method: Sequence[str] | None, *, bits: int | None, finetune: Mapping[str, Any]
) -> Way:
    """Returns what methods come to, or the bits that most weights are to have.

    Args:
        method: Names of methods; None for what the bits say, or int8.
        bits: Of most weights, or of all where they are trained for it.
        finetune: Settings of that training.

    Raises:
        SettingsError: If both are given, a method twice, or one that there is not.
    """
    trained = list_trained()
    if bits is not None and bits not in trained:  # from Python nobody else has looked at them
        raise SettingsError(f"bits = {bits!r} is not accepted. Accepted: 8, 4 or 2")
    if method is not None:
        require_each_once(method, setting="method", what="method")
    names = method or ()
    if tuple(names) == (_AWARE,):
        width = bits or _USUAL_BITS
        training = TrainingForFormat(bits=width, finetune=dict(finetune))
        return Way(settings={"to": [trained[width]]}, training=training)
    if finetune:
        raise SettingsError(
            f"finetune.{next(iter(finetune))} is a setting of a training, and method = "
            f"{', '.join(names) or 'none'} has none; accepted: method = {_AWARE}"
        )
    if _AWARE in names:
        raise SettingsError(
            f"method = {', '.join(names)} has {_AWARE} among others, which trains the model and "
            "exports what came of it; accepted: it alone"
        )
    if bits is None:
        return Way(settings={"to": find_targets(names or _USUAL)})
    if names:
        raise SettingsError(
            f"method = {', '.join(names)} and bits = {bits} are both given; accepted: one of "
            f"them, as bits = 8 and 4 are int8 and int4 with repair = true; {_AWARE} takes both"
        )
    if bits not in _ROUNDED:
        raise SettingsError(
            f"bits = {bits} ruins a model that was not trained for it; accepted: bits = 8 or 4, or "
            f"method = {_AWARE} with bits = {bits}"
        )
    return Way(settings={"to": find_targets([f"int{bits}"]), "repair": True})


def find_targets(methods: Sequence[str]) -> list[str]:
    """Returns the targets of an export that some methods are.

    Raises:
        SettingsError: If there is no such method; the message lists those there are.
    """
    targets = {load_target(n).method: n for n in listing.list_names(listing.ROOMS["targets"])}
    known = sorted([_AWARE, *(name for name in targets if name is not None)])
    for method in methods:
        if method not in known:
            raise SettingsError(
                f"method names {method!r}, which quantise does not have; accepted: "
                f"{', '.join(known)}.{did_you_mean(method, known)} limbeck export writes other "
                "formats"
            )
    return [targets[method] for method in methods]
