"""Reads settings: a TOML file or a preset, then `key=value` overrides, then validation."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from limbeck import limits
from limbeck.config._describe import Location, admits, child, settings_classes, takes_any_length
from limbeck.config._explain import explain, leaf_names
from limbeck.config._settings import Settings
from limbeck.errors import SettingsError, did_you_mean
from limbeck.system_errors import explain as explain_system_error

SettingsT = TypeVar("SettingsT", bound=Settings)

COMMAND_LINE = "command line"
UNSET = "none"
"""How TOML and the command line write Python's None, for which TOML has no word."""

_LIKE_UNSET = re.compile(rf'"*{UNSET}"*')
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


def read_settings(
    cls: type[SettingsT],
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    presets: Mapping[str, Path] | None = None,
    recipe: str | None = None,
) -> SettingsT:
    """Reads a run's settings from a TOML file or a preset, then `key=value` overrides.

    Args:
        cls: The settings class to fill.
        path: A TOML file, or the name of a preset; None to take the defaults.
        overrides: `key=value` texts, the last one winning. A dotted key reaches into nested
            settings. The value is read as TOML; what is not TOML, and what a text setting would
            otherwise get as a number, is text. Where a list is wanted, `a,b` is one, and `a` is
            one of a single item. `key=` goes back to the default, `key=none` unsets; a text that is
            this word stands in further quotes.
        presets: Where the named presets lie.
        recipe: The recipe that is about to run. A file may begin with `recipe = "..."`; one that
            names another recipe is refused.

    Raises:
        SettingsError: If the file can't be read, or anything in it or in an override is wrong; the
            message says which of the two, what was given and what is accepted.
    """
    values, file = ({}, "settings") if path is None else _read_file(path, presets or {})
    if "recipe" not in cls.model_fields:
        _check_recipe(values.pop("recipe", None), expected=recipe, file=file)
    given: set[Location] = set()
    for text in overrides:
        location = _apply(cls, values, text)
        given.add(location)

    def where(location: Location) -> str:
        starts = (location[:length] for length in range(1, len(location) + 1))
        if any(start in given for start in starts) or (path is None and overrides):
            return COMMAND_LINE
        is_part = any(override[: len(location)] == location for override in given)
        return f"{file} and {COMMAND_LINE}" if is_part else file

    try:
        return cls.model_validate(_unset(cls, values))
    except ValidationError as error:
        raise SettingsError(explain(cls, error, where=where)) from None
    except RecursionError:
        raise SettingsError(
            f"{file if path is not None else COMMAND_LINE}: tables stand too deep in each other; "
            "accepted: settings as limbeck init shows them"
        ) from None


def read_options(cls: type[SettingsT], values: Mapping[str, Any], *, name: str) -> SettingsT:
    """Validates a table whose values were read before it was known what they are for.

    Text is read as on the command line where a list is wanted (`a,b`), and a number is the text
    that was written where text is wanted (a column called `2020`).

    Args:
        cls: The class of the options.
        values: By name.
        name: The setting that is the table, for messages.

    Raises:
        SettingsError: If an option is wrong.
    """
    wanted = {key: _as_wanted(child(cls, key), value) for key, value in values.items()}
    try:
        return cls.model_validate(_unset(cls, wanted))
    except ValidationError as error:
        message = explain(cls, error, where=lambda _: name, table=f"{name}.")
        raise SettingsError(message) from None


def _as_wanted(annotation: Any, value: Any) -> Any:
    """Returns a value that was read as TOML as what an annotation wants."""
    item = child(annotation, 0)
    if isinstance(value, dict):
        return {key: _as_wanted(child(annotation, key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_wanted(item, inner) for inner in value]
    is_as_wanted = not isinstance(value, str) and _fits(annotation, value)
    if annotation is None or value is None or is_as_wanted:
        return value
    if item is not None:
        return _parse_value(annotation, _spell(value))
    return _spell(value) if admits(annotation, str) else value


def _spell(value: object) -> str:
    """Returns a value of TOML as it is written there."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_override(text: str) -> bool:
    """Returns whether a command-line argument is written as `key=value`."""
    key, equals, _ = text.partition("=")
    return bool(equals) and _KEY.fullmatch(key) is not None


def _read_file(path: Path, presets: Mapping[str, Path]) -> tuple[dict[str, Any], str]:
    name = str(path)
    if name in presets:
        path = presets[name]
    limit = limits.FILE_BYTES.value
    try:
        with path.open("rb") as file:  # a pipe too, as <(limbeck init ...) makes one
            content = file.read(limit + 1)
        text = content.decode("utf-8-sig")  # editors of Windows begin a file with a mark
    except FileNotFoundError:
        known = f" Presets: {', '.join(sorted(presets))}." if presets else ""
        raise SettingsError(
            f"there is no settings file{' or preset' if presets else ''} '{name}'."
            f"{did_you_mean(name, [*presets, *_neighbours(path)])}{known}"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}: not UTF-8 text (at byte {error.start})") from None
    except OSError as error:
        raise SettingsError(explain_system_error(error, path=name, writes=False)) from None
    if len(content) > limit:
        raise SettingsError(f"{name} is too long; accepted: {limits.FILE_BYTES.describe()} bytes")
    try:
        return tomllib.loads(text), name
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: not valid TOML: {error}{_quote(text, str(error))}") from None
    except (RecursionError, ValueError) as error:  # brackets too deep, a number too long
        raise SettingsError(f"{name}: TOML that Python can't read: {error}") from None


def _neighbours(path: Path) -> list[str]:
    return [str(p) for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []


def _quote(text: str, message: str) -> str:
    """Shows the line that a TOML error points at, and the commonest remedy."""
    found = re.search(r"at line (\d+)", message)
    if found is None:
        return ""
    line = text.split("\n")[int(found[1]) - 1 : int(found[1])]
    shown = f": {line[0].strip()}" if line else ""
    return f"{shown} (text stands in quotes, true and false in small letters)"


def _check_recipe(found: object, *, expected: str | None, file: str) -> None:
    if found is not None and expected is not None and found != expected:
        raise SettingsError(
            f"{file}: holds the settings of a '{found}' run, not of '{expected}'. "
            f"Run it with: limbeck {found} {file}"
        )


def _apply(cls: type[Settings], values: dict[str, Any], text: str) -> Location:
    """Writes one override into the values read so far and returns the place it went to."""
    if not is_override(text):
        raise SettingsError(
            f"{COMMAND_LINE}: '{text}' is not a setting; accepted: key=value, such as seed=1 or "
            "masking.probability=0.2."
        )
    key, _, raw = text.partition("=")
    parts = tuple(key.split("."))
    annotation: Any = cls
    table = values
    for depth, part in enumerate(parts[:-1], start=1):
        inner = table.setdefault(part, _default_table(annotation, part))
        if not isinstance(inner, dict):
            _refuse_non_table(cls, text, parts[:depth], inner)
        annotation, table = child(annotation, part), inner
    annotation = child(annotation, parts[-1])
    if raw == "":
        table.pop(parts[-1], None)
    else:
        table[parts[-1]] = _parse_value(annotation, raw)
    return parts


def _default_table(annotation: Any, part: str) -> dict[str, Any]:
    """Returns what a dotted override adds to: the default's entries, if the default is a mapping.

    A nested settings class starts empty here; `Settings` completes it from the default itself.
    """
    for settings in settings_classes(annotation):
        if part in settings.model_fields:
            field = settings.model_fields[part]
            default = field.get_default(call_default_factory=True, validated_data={})
            if isinstance(default, Mapping):
                return {
                    name: value.model_dump() if isinstance(value, Settings) else deepcopy(value)
                    for name, value in default.items()
                }
    return {}


def _refuse_non_table(
    cls: type[Settings], text: str, parts: tuple[str, ...], found: object
) -> None:
    name = ".".join(parts)
    nested = [n for n in leaf_names(cls) if "." in n]
    raise SettingsError(
        f"{COMMAND_LINE}: '{text}' can't be applied: '{name}' is {found!r}, not a table."
        + (f" Nested settings: {', '.join(nested)}." if nested else "")
    )


def _parse_value(annotation: Any, raw: str) -> Any:
    value = _parse_scalar(annotation, raw)
    item = child(annotation, 0)
    if item is None or settings_classes(item) or not isinstance(value, str | int | float):
        return value
    if value == UNSET and admits(annotation, type(None)):
        return value
    inner = raw.strip()
    is_bracketed = inner.startswith("[") and inner.endswith("]")  # whose quotes the shell took
    parts = (inner[1:-1] if is_bracketed else inner).split(",")
    items = [_parse_scalar(item, part.strip()) for part in parts]
    if "" in items or not all(_fits(item, found) for found in items):
        return value
    # Text that may be text stays so, but for numbers, which then are what the list is of.
    is_list = (
        is_bracketed or not _fits(annotation, value) or (len(items) > 1 and not admits(item, str))
    )
    return items if is_list and (len(items) > 1 or takes_any_length(annotation)) else value


def _fits(annotation: Any, value: object) -> bool:
    return (
        admits(annotation, type(value))
        or (isinstance(value, str) and admits(annotation, Path))
        or (isinstance(value, int) and not isinstance(value, bool) and admits(annotation, float))
    )


def _parse_scalar(annotation: Any, raw: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):  # no TOML, or more than Python reads
        return raw
    if set(parsed) != {"value"}:  # a line break in the text began a second setting
        return raw
    value = parsed["value"]
    if isinstance(value, (str, list, dict)):
        return value
    takes_text = admits(annotation, str) or admits(annotation, Path)
    return raw if takes_text and not _fits(annotation, value) else value


def _unset(annotation: Any, value: Any) -> Any:
    """Puts None where a setting that may be None was given as the word `none`.

    The text itself is written in quotes of its own, `"none"`, and each further pair stands for one.
    """
    if isinstance(value, dict):
        return {k: _unset(inside(annotation, k), v) for k, v in value.items()}
    if isinstance(value, list) and (annotation is Any or settings_classes(child(annotation, 0))):
        return [_unset(inside(annotation, 0), v) for v in value]
    if is_like_unset(annotation, value):
        return None if value == UNSET else value[1:-1]
    return value


def inside(annotation: Any, part: str | int) -> Any:
    """Returns the annotation of what is in a value: in one that may be anything, again anything."""
    return Any if annotation is Any else child(annotation, part)


def is_like_unset(annotation: Any, value: object) -> bool:
    """Tells whether a text is the word for None, in quotes or not, where there may be None."""
    if not isinstance(value, str) or not admits(annotation, type(None)):
        return False
    return _LIKE_UNSET.fullmatch(value) is not None
