"""What a field's annotation accepts: in words, and as a tree to walk."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Location = tuple[str | int, ...]

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}
_LENGTHS = {"min_length": "at least", "max_length": "at most"}
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "none",
}


def alternatives(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yields the members of a union (or the one type), each with the metadata of `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extra = get_args(annotation)
        metadata = tuple(
            item for m in extra for item in (m.metadata if isinstance(m, FieldInfo) else [m])
        )
        for member, own in alternatives(base):
            yield member, (*own, *metadata)
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from alternatives(argument)
    else:
        yield annotation, ()


def is_settings(annotation: Any) -> bool:
    """Returns whether an annotation (not a union) is a class of settings."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def settings_classes(annotation: Any) -> list[type[BaseModel]]:
    """Returns the settings classes that an annotation admits."""
    return [member for member, _ in alternatives(annotation) if is_settings(member)]


def admits(annotation: Any, kind: type) -> bool:
    """Returns whether an annotation admits a type, or a literal of that type."""
    for member, _ in alternatives(annotation):
        if member is kind or member is Any:
            return True
        if get_origin(member) is Literal and any(type(v) is kind for v in get_args(member)):
            return True
        if isinstance(member, type) and issubclass(member, Enum) and kind is str:
            return True
    return False


def child(annotation: Any, part: str | int) -> Any | None:
    """Returns the annotation found one step inside another, or None if there is no such step.

    Args:
        annotation: Where to start.
        part: A field of a settings class, a key of a table, or an index of a list.
    """
    if annotation is None:
        return None
    for member, _ in alternatives(annotation):
        if is_settings(member):
            if part in member.model_fields:
                field = member.model_fields[part]
                return field.annotation
            continue
        origin, arguments = get_origin(member), get_args(member)
        if not isinstance(origin, type) or not arguments:
            continue
        if issubclass(origin, dict) or origin.__name__ == "Mapping":
            if isinstance(part, str):
                return arguments[1]
        elif isinstance(part, int):
            return arguments[0]
    return None


def takes_any_length(annotation: Any) -> bool:
    """Returns whether an annotation admits a list of as many items as one likes."""
    for member, _ in alternatives(annotation):
        origin, arguments = get_origin(member), get_args(member)
        if origin is tuple and arguments[1:] == (...,):
            return True
        if isinstance(origin, type) and issubclass(origin, (list, set, frozenset)):
            return True
    return False


def list_example(annotation: Any) -> tuple[str, str] | None:
    """Returns a list of the plain values that an annotation admits, for a file and for a shell.

    None where it admits no list, or one of something else.

    Example:
        >>> list_example(tuple[int, ...] | None)
        ('[0, 1]', '0,1')
        >>> list_example(tuple[str, ...])
        ('["a", "b"]', 'a,b')
    """
    item = child(annotation, 0)
    for kind, examples in (
        (int, ("[0, 1]", "0,1")),
        (float, ("[0.5, 0.9]", "0.5,0.9")),
        (str, ('["a", "b"]', "a,b")),
        (Path, ('["a", "b"]', "a,b")),
    ):
        if admits(item, kind):
            return examples
    return None


def describe(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Says in words what a field accepts.

    Example:
        >>> describe(Literal["linear", "cosine"])
        "'linear' or 'cosine'"
        >>> describe(list[int] | None)
        'a list, each item a whole number; or none'
    """
    words = [_describe_one(m, (*own, *metadata)) for m, own in alternatives(annotation)]
    unique = list(dict.fromkeys(words))
    separator = "; or " if any("," in word for word in unique[:-1]) else " or "
    return separator.join(unique)


def _describe_one(member: Any, metadata: tuple[Any, ...]) -> str:
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return _any_of([repr(value) for value in arguments])
    if isinstance(member, type) and issubclass(member, Enum):
        return _any_of([repr(item.value) for item in member])
    if is_settings(member):
        return f"a table with {', '.join(member.model_fields)}"
    if isinstance(origin, type) and arguments:
        if issubclass(origin, dict) or origin.__name__ == "Mapping":
            return f"a table, each value {describe(arguments[1])}"
        length = _limits(metadata, _LENGTHS)
        return (
            f"a list{f' of {length} items' if length else ''}, each item {describe(arguments[0])}"
        )
    name = _NAMES.get(member, getattr(member, "__name__", str(member)))
    if member is float and any(getattr(m, "allow_inf_nan", None) is False for m in metadata):
        name = "a finite number"
    limits = _limits(metadata, _BOUNDS) if member in (int, float) else ""
    if member is str and (length := _limits(metadata, _LENGTHS)):
        limits = f"of {length} characters"
    return f"{name} {limits}".strip()


def _limits(metadata: tuple[Any, ...], words: dict[str, str]) -> str:
    found = [
        f"{word} {getattr(item, attribute)}"
        for item in metadata
        for attribute, word in words.items()
        if getattr(item, attribute, None) is not None
    ]
    return " and ".join(dict.fromkeys(found))


def _any_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
