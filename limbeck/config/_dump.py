"""Writes settings as TOML, each with its documentation, so that reading it gives the same back."""

from __future__ import annotations

import json
import operator
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from limbeck.config._describe import describe, settings_classes
from limbeck.config._read import UNSET, inside, is_like_unset
from limbeck.config._settings import Settings

_LINE_LENGTH = 98
_BARE_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def dump_toml(settings: Settings | type[Settings], *, recipe: str | None = None) -> str:
    """Writes settings as a commented TOML file.

    Args:
        settings: Filled settings, or a class: then the defaults are written, and what has none is
            marked as required and commented out.
        recipe: Written as the first key, so that the file says which recipe it is for.

    Returns:
        The text; `read_settings` of it gives the same settings back.
    """
    lines = [f"recipe = {_value(recipe)}", ""] if recipe else []
    lines.extend(_dump_table(settings, prefix=""))
    return "\n".join(lines).rstrip("\n") + "\n"


def dump_changes(settings: Settings) -> str:
    r"""Writes the settings that are not at their defaults, as TOML of one line each.

    Returns:
        The text, empty if there are none; `read_settings` of it gives the same settings back.

    Example:
        >>> class Heat(Settings):
        ...     temperature: float = 2.0
        ...     how: str = "well"
        >>> dump_changes(Heat(temperature=3))
        'temperature = 3.0\n'
    """
    cls = type(settings)
    return "".join(
        _dump_change(getattr(settings, name), _current(cls, name, field), field, name=_key(name))
        for name, field in cls.model_fields.items()
    )


def _dump_change(value: Any, default: Any, field: FieldInfo, *, name: str) -> str:
    if value == default:
        return ""
    if isinstance(value, Settings) and type(value) is type(default):
        return "".join(
            _dump_change(getattr(value, n), getattr(default, n), f, name=f"{name}.{_key(n)}")
            for n, f in type(value).model_fields.items()
        )
    return f"{name} = {_value(value, field.annotation)}\n"


def _dump_table(settings: Settings | type[Settings], *, prefix: str) -> Iterator[str]:
    """Yields the lines of one table: its plain settings first, then the tables in it."""
    cls = settings if isinstance(settings, type) else type(settings)
    tables: list[tuple[str, FieldInfo, Any]] = []
    for name, field in cls.model_fields.items():
        value = _current(settings, name, field)
        if _is_table(value, field):
            tables.append((name, field, value))
            continue
        yield from _comment(field, accepted=True)
        if value is PydanticUndefined:
            yield f"# {name} =   # required"
        elif value is None and field.default is None:
            yield f"# {name} ="
        else:
            yield f"{name} = {_value(value, field.annotation)}"
        yield ""
    for name, field, value in tables:
        yield from _comment(field, accepted=False)
        yield from _dump_nested(f"{prefix}{_key(name)}", field, value)


def _dump_nested(name: str, field: FieldInfo | None, value: Any) -> Iterator[str]:
    if field is not None and value is PydanticUndefined:
        value = settings_classes(field.annotation)[0]
    if isinstance(value, (Settings, type)):
        yield f"[{name}]"
        yield from _dump_table(value, prefix=f"{name}.")
    else:  # a table of tables
        for key, item in value.items():
            yield from _dump_nested(f"{name}.{_key(key)}", None, item)


def _current(settings: Settings | type[Settings], name: str, field: FieldInfo) -> Any:
    if isinstance(settings, Settings):
        return getattr(settings, name)
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, Mapping):  # perhaps of plain values that validation makes settings of
        annotation: Any = field.annotation
        if field.metadata:
            annotation = operator.getitem(Annotated, (annotation, *field.metadata))
        return TypeAdapter(annotation).validate_python(default)
    return default


def _is_table(value: Any, field: FieldInfo) -> bool:
    if value is PydanticUndefined:
        # A required table has keys of its own to show; a required list of them has not.
        return len(settings_classes(field.annotation)) == 1
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(item, Settings) for item in value.values())
    return isinstance(value, Settings)


def _comment(field: FieldInfo, *, accepted: bool) -> Iterator[str]:
    about = " ".join((field.description or "").split())
    if accepted:
        about += f" Accepted: {describe(field.annotation, tuple(field.metadata))}."
    yield from textwrap.wrap(
        about.strip(),
        width=_LINE_LENGTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _key(name: str) -> str:
    return name if name and set(name) <= _BARE_KEY else _value(name)


def _value(value: Any, annotation: Any = None) -> str:
    """Writes a value, whose annotation says whether the word for None would be taken for it."""
    if value is None:
        return f'"{UNSET}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return _value(value.value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Settings):
        fields = ((n, f, getattr(value, n)) for n, f in type(value).model_fields.items())
        # What is None unless told otherwise is left out, as it is from tables of their own.
        written = ((n, f, v) for n, f, v in fields if (v, f.default) != (None, None))
        return _table((n, _value(v, f.annotation)) for n, f, v in written)
    if isinstance(value, Mapping):
        return _table((str(k), _value(v, inside(annotation, str(k)))) for k, v in value.items())
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(item, inside(annotation, 0)) for item in value) + "]"
    text = str(value)
    if is_like_unset(annotation, text):
        text = f'"{text}"'
    # A JSON string is a TOML string, but for the one control character JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _table(items: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{_key(name)} = {value}" for name, value in items) + "}"
