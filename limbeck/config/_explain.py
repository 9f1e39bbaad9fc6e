"""Pydantic's validation errors, in the words of somebody who wrote a settings file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from limbeck.config._describe import (
    Location,
    alternatives,
    child,
    describe,
    list_example,
    settings_classes,
)
from limbeck.config._habits import our_name
from limbeck.errors import SettingsError, did_you_mean, shorten

_LONGEST_VALUE = 80


def explain(
    cls: type[BaseModel],
    error: ValidationError,
    *,
    where: Callable[[Location], str],
    table: str = "",
) -> str:
    """Formats a validation error: where, what was given, what is accepted, the nearest answer.

    Args:
        cls: The settings class that was being filled.
        error: What pydantic found wrong.
        where: Says for a setting's location where its value came from.
        table: What stands before a setting's name on the command line, such as `task_options.`.
    """
    lines: dict[Location, str] = {}
    for detail in error.errors(include_url=False):
        location = _true_location(cls, detail["loc"])
        if detail["type"] == "extra_forbidden":
            location = (*location, str(detail["loc"][-1]))
        # A union reports once for each of its members: one line says it all.
        message = _message(cls, location, dict(detail), table=table)
        lines.setdefault(location, f"{where(location)}: {message}")
    if len(lines) == 1:
        return next(iter(lines.values()))
    return "\n".join([f"{len(lines)} settings are wrong", *(f"  {v}" for v in lines.values())])


def _true_location(cls: type[BaseModel], raw: Location) -> Location:
    """Drops the parts of a location that pydantic adds for union members and validators."""
    location: list[str | int] = []
    annotation: Any = cls
    for part in raw:
        inner = child(annotation, part)
        if inner is not None:
            location.append(part)
            annotation = inner
    return tuple(location)


def _message(
    cls: type[BaseModel], location: Location, detail: dict[str, Any], *, table: str
) -> str:
    name = dotted(location)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(cls, location, detail["input"])
    annotation, metadata, about = _field(cls, location)
    if kind == "missing":
        accepted = describe(annotation, metadata)
        return (
            f"'{name}' is required: {accepted}{f' ({about})' if about else ''}. "
            f"Set it in the file, or as {table}{name}=... on the command line."
        )
    given = _show(detail["input"])
    if kind in ("value_error", "assertion_error"):
        cause = detail["ctx"]["error"]
        # Our own errors say themselves what was given, and pydantic adds nothing to a whole class.
        is_complete = isinstance(cause, SettingsError) or not name
        return str(cause) if is_complete else f"{name} = {given}: {cause}"
    accepted = describe(annotation, metadata)
    names = [str(v) for v in _choices(annotation)]
    nearest = did_you_mean(str(detail["input"]), names) if isinstance(detail["input"], str) else ""
    example = None if isinstance(detail["input"], list | tuple) else list_example(annotation)
    as_list = (
        f" A list is written {name} = {example[0]}, on the command line also "
        f"{table}{name}={example[1]}."
        if example
        else ""
    )
    return f"{name} = {given} is not accepted.{nearest} Accepted: {accepted}.{as_list}"


def _unknown_key(cls: type[BaseModel], location: Location, value: object) -> str:
    annotation: Any = cls
    for part in location[:-1]:
        annotation = child(annotation, part)
    prefix = dotted(location[:-1])
    names = [
        f"{prefix}.{name}" if prefix else name
        for settings in settings_classes(annotation)
        for name in settings.model_fields
    ]
    given = dotted(location)
    unknown = f"there is no setting '{given}' (given: {_show(value)})."
    if ours := our_name(given, names):
        return f"{unknown} It is called '{ours}' here."
    hint = did_you_mean(given, names) or _elsewhere(cls, str(location[-1]))
    return f"{unknown}{hint} Accepted: {', '.join(names) or 'nothing'}."


def _elsewhere(cls: type[BaseModel], last: str) -> str:
    """Looks for a key given at the wrong level among the keys of all levels."""
    by_last: dict[str, str] = {}
    for name in leaf_names(cls):
        by_last.setdefault(name.rpartition(".")[2], name)
    if last in by_last:
        return f" Did you mean '{by_last[last]}'?"
    nearest = did_you_mean(last, by_last)
    for key, full in by_last.items():
        if nearest == f" Did you mean '{key}'?":
            return f" Did you mean '{full}'?"
    return ""


def leaf_names(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of all settings, those of nested settings included."""
    for name, field in cls.model_fields.items():
        yield prefix + name
        for nested in settings_classes(field.annotation):
            yield from leaf_names(nested, f"{prefix}{name}.")


def _field(cls: type[BaseModel], location: Location) -> tuple[Any, tuple[Any, ...], str]:
    """Returns the annotation, the constraints and the documentation found at a location."""
    annotation: Any = cls
    metadata: tuple[Any, ...] = ()
    about = ""
    for part in location:
        for settings in settings_classes(annotation):
            if part in settings.model_fields:
                field = settings.model_fields[str(part)]
                metadata = tuple(field.metadata)
                about = " ".join((field.description or "").split()).partition(". ")[0].rstrip(".")
                break
        else:
            metadata, about = (), ""
        annotation = child(annotation, part)
    return annotation, metadata, about


def _choices(annotation: Any) -> Iterator[object]:
    for member, _ in alternatives(annotation):
        if get_origin(member) is Literal:
            yield from get_args(member)
        elif isinstance(member, type) and issubclass(member, Enum):
            yield from (item.value for item in member)


def dotted(location: Location) -> str:
    """Writes a location the way users do: `masking.probability`, `layers[2]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _show(value: object) -> str:
    if value is None or isinstance(value, bool):
        return repr(value).lower()
    return shorten(value, length=_LONGEST_VALUE)
