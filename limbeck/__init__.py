"""Distil BERT and its relatives into small, fast text encoders, with the proof beside them."""

from __future__ import annotations

import importlib
from typing import Any

from limbeck.version import __version__ as __version__

# Rooms with public names of their own. Errors, models, functions and results are added as
# `limbeck.errors`, the listing of `limbeck.models` and `limbeck.api` have them. Type checkers read
# `__init__.pyi`, which `scripts/write_stub.py` writes.
_ROOMS = {"AutoTokenizer": "tokenizers", "Tokenizer": "tokenizers", "pipeline": "inference"}


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use, so that `import limbeck` itself is quick."""
    if name == "__all__":
        return __dir__()
    # Whatever asks for a name with underscores or a small letter, such as an import of a room,
    # gets its answer without an import of torch.
    if name in _ROOMS:
        value = getattr(importlib.import_module(f"limbeck.{_ROOMS[name]}"), name)
    elif name in _of_api():
        value = getattr(importlib.import_module("limbeck.api"), name)
    elif name.endswith("Error"):
        value = _errors().get(name)
    else:
        value = _models().get(name) if name[0].isupper() else None
    if value is None:
        raise AttributeError(f"module 'limbeck' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_ROOMS, *_errors(), *_of_api(), *_models(), "__version__"])


def _errors() -> dict[str, type[Exception]]:
    errors = vars(importlib.import_module("limbeck.errors"))
    return {name: value for name, value in errors.items() if name.endswith("Error")}


def _of_api() -> tuple[str, ...]:
    api = importlib.import_module("limbeck.api")
    return (*api.FUNCTIONS, *api.CLASSES)


def _models() -> dict[str, Any]:
    found: dict[str, Any] = importlib.import_module("limbeck.models._public").public_names()
    return found
