"""Narrow a model's weights to eight or four bits, and prove what it keeps; see `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from limbeck import listing
from limbeck.config import Shown
from limbeck.errors import SettingsError, did_you_mean
from limbeck.export import load_target
from limbeck.recipes import export
from limbeck.recipes._settings import RunSettings, take_one
from limbeck.recipes.export.settings import ExportSettings, ProofSettings, require_each_once
from limbeck.runs import ExportRecord
from limbeck.train import Progress


class _ByMethods(RunSettings):
    model: Shown[str]
    """Model folder or Hub id, with its tokenizer; in float, as it was trained."""
    method: Shown[tuple[str, ...]] = ()
    """Method, or several: int8, int8-static, int4 or gptq."""
    out: Shown[Path]
    """Run folder; the model is in its folder `model`, several are in `models`."""
    bits: Shown[Literal[8, 4] | None] = None
    """In place of a method, the bits of most weights: 8 or 4, each rounded by itself. Matrices that
    are sensitive to it get 8, then float, the fewest that `max_drop` needs, as with `repair`."""

    _take_one = field_validator("method", mode="before")(take_one)

    @model_validator(mode="after")
    def _require_methods(self) -> Self:
        name_methods(self.method, self.bits)
        return self


class QuantiseSettings(ProofSettings, _ByMethods):
    """A model, how its weights are narrowed, and what may be lost by that."""

    def to_export(self) -> ExportSettings:
        """Returns the export that it is: to the files that ONNX Runtime runs.

        Raises:
            SettingsError: If there is no such method, or not each is given once.
        """
        values = self.model_dump(exclude={"method", "bits"}, exclude_unset=True)
        values |= {"to": find_targets(name_methods(self.method, self.bits))}
        values |= {} if self.bits is None else {"repair": True}
        return ExportSettings.from_values(values, where="quantise")


SettingsType = QuantiseSettings
summarise = export.summarise


def run(settings: QuantiseSettings, *, progress: Progress) -> ExportRecord:
    """Exports the model as each method says; the run is an export's, and raises what that raises.

    Raises:
        SettingsError: If there is no such method.
    """
    return export.run(settings.to_export(), progress=progress)


def plan(settings: QuantiseSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    return export.plan(settings.to_export())


def name_methods(method: Sequence[str], bits: int | None) -> Sequence[str]:
    """Returns the methods that are asked for, by their names or by the bits of most weights.

    Raises:
        SettingsError: If it is neither or both, or a method twice.
    """
    if bits is None and not method:
        raise SettingsError(
            "method names nothing, and there are no bits; accepted: one method or several, each "
            "once, such as int8, or bits = 8 or 4"
        )
    if bits is None:
        require_each_once(method, setting="method", what="method")
        return method
    if method:
        raise SettingsError(
            f"method = {', '.join(method)} and bits = {bits} are both given; accepted: one of "
            f"them, as bits = {bits} is method = int{bits} with repair = true"
        )
    return (f"int{bits}",)


def find_targets(methods: Sequence[str]) -> list[str]:
    """Returns the targets of an export that some methods are.

    Raises:
        SettingsError: If there is no such method; the message lists those there are.
    """
    targets = {load_target(n).method: n for n in listing.list_names(listing.ROOMS["targets"])}
    known = sorted(name for name in targets if name is not None)
    for method in methods:
        if method not in known:
            raise SettingsError(
                f"method names {method!r}, which quantise does not have; accepted: "
                f"{', '.join(known)}.{did_you_mean(method, known)} limbeck export writes other "
                "formats"
            )
    return [targets[method] for method in methods]
