"""Settings as their source says them, for help that takes no time: nothing is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_PACKAGE = "limbeck."


@dataclass(frozen=True)
class Outline:
    """A setting that help shows.

    Attributes:
        name: As it is written in a settings file.
        about: The first sentence of its documentation.
        default: As it is written on the command line; None if the setting is required.
    """

    name: str
    about: str
    default: str | None


def outline_settings(recipe: str) -> list[Outline]:
    """Returns the settings of a recipe that are marked as `Shown`, those of base classes first.

    Args:
        recipe: Dotted name of the module whose `SettingsType` it is.
    """
    for node in _parse(recipe).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SettingsType":
            found = _read_class(recipe, ast.unparse(node.value))
            return [setting for setting in found.values() if setting is not None]
    raise AssertionError(f"{recipe} has no SettingsType")


def summary_of(module: str) -> str:
    """Returns the first line of a module's docstring."""
    # Nothing else of it is read: whole modules take milliseconds each.
    _, quotes, text = _path_of(module).read_text(encoding="utf-8").partition('"""')
    words: str = ast.literal_eval(f"{quotes}{text.partition(quotes)[0]}{quotes}") if quotes else ""
    return words.strip().partition("\n")[0]


def _find(module: str) -> ModuleSpec | None:
    """Finds a module without importing the packages that it is in."""
    parent = module.rpartition(".")[0]
    if parent in sys.modules:
        folders: Sequence[str] | None = sys.modules[parent].__path__
    else:
        spec = _find(parent)
        folders = spec.submodule_search_locations if spec else None
    return PathFinder.find_spec(module, folders)


def _parse(module: str) -> ast.Module:
    return _parse_file(_path_of(module))


def _path_of(module: str) -> Path:
    spec = _find(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


@cache
def _parse_file(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _read_class(module: str, name: str) -> dict[str, Outline | None]:
    """Returns a class's settings by name, None for one that is not to be shown."""
    for node in _parse(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            found: dict[str, Outline | None] = {}
            for base in reversed(node.bases):
                found |= _read_class(module, ast.unparse(base))
            return found | dict(_read_fields(node.body))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _read_class(str(node.module), alias.name)
    return {}  # a class of another package


def _read_fields(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Outline | None]]:
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name, kind = node.target.id, node.annotation
        if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Shown":
            words = after.value if isinstance(after, ast.Expr) else None
            text = str(words.value) if isinstance(words, ast.Constant) else ""
            yield name, Outline(name, first_sentence(text), _read_default(node.value))
        else:
            yield name, None


def first_sentence(text: str) -> str:
    """Returns a documentation's first sentence, in one line.

    Example:
        >>> first_sentence("Depth of the student.  Half, if not given.")
        'Depth of the student.'
    """
    sentence, dot, _ = " ".join(text.split()).partition(". ")
    return sentence + dot.strip()


def _read_default(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "Field":
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if "default_factory" in given:
            return {"dict": "{}"}[ast.unparse(given["default_factory"])]
        node = given.get("default")
    if isinstance(node, ast.Call):  # such as Path("runs")
        node = node.args[0]
    return None if node is None else _write(ast.literal_eval(node))


def _write(value: object) -> str:
    """Writes a value as one gives it on the command line."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(_write, value))
    return str(value)
