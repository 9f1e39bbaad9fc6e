"""Narrow a model's weights to eight or four bits, and prove what it keeps; see `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import field_validator, model_validator

from limbeck import listing
from limbeck.config import Shown
from limbeck.errors import SettingsError, did_you_mean
from limbeck.export import load_target
from limbeck.recipes import export
from limbeck.recipes._settings import RunSettings
from limbeck.recipes.export.settings import ExportSettings, ProofSettings, require_each_once
from limbeck.runs import ExportRecord
from limbeck.train import Progress


class _ByMethods(RunSettings):
    model: Shown[str]
    """Model folder or Hub id, with its tokenizer; in float, as it was trained."""
    method: Shown[tuple[str, ...]]
    """Method, or several: int8, int8-static, int4 or gptq."""
    out: Shown[Path]
    """Run folder; the model is in its folder `model`, several are in `models`."""

    @field_validator("method", mode="before")
    @classmethod
    def _take_one(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _require_methods(self) -> Self:
        require_each_once(self.method, setting="method", what="method")
        return self


class QuantiseSettings(ProofSettings, _ByMethods):
    """A model, how its weights are narrowed, and what may be lost by that."""

    def to_export(self) -> ExportSettings:
        """Returns the export that it is: to the files that ONNX Runtime runs.

        Raises:
            SettingsError: If there is no such method, or not each is given once.
        """
        values = self.model_dump(exclude={"method"}, exclude_unset=True)
        to = find_targets(self.method)
        return ExportSettings.from_values(values | {"to": to}, where="quantise")


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
