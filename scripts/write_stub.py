"""Writes limbeck/__init__.pyi: the public names, for type checkers, which run nothing.

With `--print` it is only printed, as the test asks that compares the two.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import sys
from pathlib import Path
from typing import Any

import limbeck
from limbeck.models import Model

STUB = Path(__file__).parents[1] / "limbeck" / "__init__.pyi"
HEAD = '"""The public names, for type checkers. Written by scripts/write_stub.py."""\n\n'


def render() -> str:
    """Words the stub: what a file defines is imported from it, generated classes are declared."""
    imported, declared = ["from limbeck.models import Model as _Model"], []
    for name in dir(limbeck):
        value = getattr(limbeck, name)
        if inspect.isclass(value) and issubclass(value, Model):
            declared.append(f'class {name}(_Model):\n    """{value.__doc__}"""\n')
        else:
            imported.append(f"from {find_room(name, value)} import {name} as {name}")
    return HEAD + "\n".join(sorted(imported)) + "\n\n" + "\n".join(declared)


def find_room(name: str, value: Any) -> str:
    """Returns the outermost package below `limbeck` that has a value under its name."""
    path = getattr(value, "__module__", "limbeck.version").split(".")
    prefixes = itertools.accumulate(path[1:], lambda *parts: ".".join(parts), initial="limbeck")
    rooms = [importlib.import_module(prefix) for prefix in prefixes]
    return next(room.__name__ for room in rooms[1:] if getattr(room, name, None) is value)


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(render(), end="")
    else:
        STUB.write_text(render(), encoding="utf-8")
        print(f"wrote {STUB}")
