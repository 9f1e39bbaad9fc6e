"""Packages whose names are imported when they are used: what needs no torch waits for none."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy_names(package: str, places: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a package that imports its names on their first use.

    Type checkers read the same names from imports under `TYPE_CHECKING`; a test holds the two
    against each other.

    Args:
        package: Its `__name__`.
        places: The names that each of its modules has. None may be called as a module of the
            package is: whichever were imported first would be meant.
    """
    modules = {name: place for place, names in places.items() for name in names}

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        home = importlib.import_module(f"{package}.{modules[name]}")
        value = getattr(home, name)
        setattr(importlib.import_module(package), name, value)  # found at once from now on
        return value

    return find
