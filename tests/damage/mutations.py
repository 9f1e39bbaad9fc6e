"""Ways in which a file is damaged: by a disk, by a copy that stopped, by hand, by a mix-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random, Sequence[bytes]], bytes | None]
"""From a file's content, and others of its kind, to what stands there afterwards; None: no file."""


def cut(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    return content[: random.randrange(max(1, len(content)))]


def cut_at_a_line(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: random.randrange(max(1, len(lines)))])


def flip(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    if not content:
        return b"\x00"
    damaged = bytearray(content)
    damaged[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def overwrite(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    damaged = bytearray(content)
    start = random.randrange(max(1, len(content)))
    damaged[start : start + 16] = bytes(len(damaged[start : start + 16]))
    return bytes(damaged) if damaged != content else flip(content, random, others)


def empty(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    return b""


def delete(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    return None


def swap(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    different = [other for other in others if other != content]
    return random.choice(different) if different else flip(content, random, others)


def insert_no_text(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    place = random.randrange(len(content) + 1)
    return content[:place] + b"\xff" + content[place:]


def append(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    return content + random.choice([b"}\n", b"\x00" * 8, b'{"a": 1}\n', content[-16:] or b"x"])


def change_value(content: bytes, random: Random, others: Sequence[bytes]) -> bytes | None:
    """Changes one value in JSON, or in a line of JSON Lines; elsewhere a bit."""
    try:
        lines = content.decode("utf-8").split("\n")
        values = [json.loads(content)] if len(lines) < 2 or lines[0] == "{" else None
        if values is not None:
            return _dump(_change(values[0], random), indent=2)
        place = random.randrange(len([line for line in lines if line]))
        lines[place] = _dump(_change(json.loads(lines[place]), random)).decode()
        return "\n".join(lines).encode()
    except ValueError:
        return flip(content, random, others)


_OTHER_VALUES: tuple[Any, ...] = (None, True, "x", 3, -1.5, [], {}, [1], float("nan"), 10**400)


def _change(value: Any, random: Random) -> Any:
    """Returns a value with one of those in it changed, at random."""
    places = list(_places(value, ()))
    *steps, last = random.choice(places) if places else (None,)
    if last is None:
        return random.choice(_OTHER_VALUES)
    inner = value
    for step in steps:
        inner = inner[step]
    old = inner[last]
    changes = [*_OTHER_VALUES]
    if isinstance(old, int | float):
        changes += [old + 1, old * 2 + 1, str(old)] * 3
    if isinstance(old, str):
        changes += [old[:-1], old + "x", old.upper()] * 3
    if random.randrange(8):
        inner[last] = random.choice(changes)
    else:
        del inner[last]
    return value


def _places(value: Any, before: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*before, key)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*before, key))


def _dump(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=False).encode()


MUTATIONS: tuple[Mutation, ...] = (
    cut,
    flip,
    change_value,
    swap,
    delete,
    insert_no_text,
    empty,
    append,
    overwrite,
    cut_at_a_line,
)
