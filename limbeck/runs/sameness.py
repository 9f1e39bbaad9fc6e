"""Whether a run that was begun is the run that is asked for: the same settings and inputs.

What a model, a corpus or a data set holds counts, not the path or name that it was found by, so
that paths may be relative or absolute and folders may be moved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError
from limbeck.runs.run import RunRecord

_WITHOUT_EFFECT = (
    "log_every",
    "out",
    "save_every",
    "teacher_cache",
    "tensorboard",
    *(
        f"teacher_options.{name}"
        for name in (
            "batch_size",
            "concurrency",
            "dimensions",  # with a wrong one nothing is learned
            "input_price",
            "key_variable",
            "output_price",
            "retries",
            "timeout_seconds",
        )
    ),
)
"""Settings, of whichever recipe has them, that decide what is written where and no weight."""
_ABSENT = object()


@dataclass(frozen=True)
class Changes:
    """What is another now than when a run was begun, in words.

    Attributes:
        recipe: The recipe that is asked for, where the run is of another.
        settings: Each setting with its two values.
        inputs: Each input whose path is the same and whose content is not.
    """

    recipe: str | None = None
    settings: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.recipe or self.settings or self.inputs)


def find_changes(
    record: RunRecord,
    recipe: str,
    settings: Settings,
    *,
    inputs: Mapping[str, str],
    may_change: Collection[str] = (),
) -> Changes:
    """Compares a run with what is asked for now.

    Args:
        record: How the run was begun.
        recipe: The recipe that is asked for.
        settings: What is asked for.
        inputs: Checksums of what the settings name; one that only one side knows is compared by
            its setting.
        may_change: Settings (dotted names, or those of whole tables) that may differ.
    """
    if record.recipe != recipe:
        return Changes(recipe=recipe)
    named = record.inputs.keys() | inputs.keys()
    before = dict(_flatten(record.settings_of(type(settings)), named))
    now = dict(_flatten(dump_settings(settings), named))
    known = record.inputs.keys() & inputs.keys()
    changed = {name for name in known if record.inputs[name] != inputs[name]}
    free = {*may_change, *_WITHOUT_EFFECT, *(known - changed)}
    differing = [
        name
        for name in {**before, **now}
        if before.get(name, _ABSENT) != now.get(name, _ABSENT)
        and (_covers(changed, name) or not _covers(free, name))
    ]
    return Changes(
        settings=tuple(
            f"{name} was {_show(before.get(name, _ABSENT))}, now {_show(now.get(name, _ABSENT))}"
            + (", which holds something else" if _covers(changed, name) else "")
            for name in differing
        ),
        inputs=tuple(
            name if now.get(name) is None else f"{name} = {_show(now[name])}"
            for name in inputs
            if name in changed and not any(_covers((name,), other) for other in differing)
        ),
    )


def require_same_run(folder: Path, record: RunRecord, changes: Changes) -> None:
    """Refuses to go on with a run that is another one than that which is asked for.

    Raises:
        SettingsError: If its recipe or settings are others.
        DataError: If an input has changed.
    """
    holds = f"{folder} already holds a '{record.recipe}' run"
    remedy = f"give another out=..., or remove {folder} to start over"
    if changes.recipe:
        raise SettingsError(f"{holds}, not a '{changes.recipe}' run; {remedy}")
    if changes.settings:
        raise SettingsError(
            f"{holds} with other settings: {'; '.join(changes.settings)}. To go on with it give "
            f"the same settings; otherwise {remedy}."
        )
    if changes.inputs:
        has = "has" if len(changes.inputs) == 1 else "have"
        raise DataError(
            f"{holds}, and {' and '.join(changes.inputs)} {has} changed since it was begun, at "
            f"{record.started_at}. To go on with it put back what was there; otherwise {remedy}."
        )


def dump_settings(settings: Settings) -> dict[str, Any]:
    """Returns settings as plain values for JSON, an infinite number by its word: "inf"."""
    values: dict[str, Any] = _spell_infinity(settings.model_dump(mode="json"))
    return values


def _spell_infinity(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _spell_infinity(inner) for name, inner in value.items()}
    return [_spell_infinity(inner) for inner in value] if isinstance(value, list) else value


def _covers(names: Collection[str], name: str) -> bool:
    """Tells whether a setting is among some, or in a table that is."""
    return any(name == one or name.startswith(f"{one}.") for one in names)


def _flatten(
    values: Mapping[str, Any], inputs: Collection[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields settings by their dotted names, those of a list one by one if they are inputs."""
    for name, value in values.items():
        if isinstance(value, list) and f"{prefix}{name}.0" in inputs:
            value = {str(number): item for number, item in enumerate(value)}
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, inputs, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _show(value: object) -> str:
    return "not set" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
