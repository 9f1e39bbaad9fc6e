"""No module imports itself by a detour, so that each can be the first to be imported.

A circle works or breaks by what was imported before it, and other tests import in one order only.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

TYPES_ALONE = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import circular.a.c
"""


def find_circle(package: str) -> list[str]:
    """Returns the modules of a circle, the first once more at the end; none if there is none.

    Imports within functions count: they are how a circle is hidden. Those for types alone do not.
    """
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    imports: dict[str, set[str]] = {}
    for module in graph.modules:
        named = graph.find_modules_directly_imported_by(module)
        # Importing `a.b.c` also runs `a` and `a.b`, which run already where they hold the importer.
        ran = {parent for name in named for parent in parents(name)}
        imports[module] = named | {p for p in ran if not f"{module}.".startswith(f"{p}.")}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def test_limbeck_has_no_circle() -> None:
    assert find_circle("limbeck") == []


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "from circular import b", "b": "def f():\n    import circular.a"}, {"a", "b"}),
        (
            {"a/__init__": "import circular.b", "a/c": "", "b": "import circular.a.c"},
            {"a", "b"},
        ),
        (
            {
                "a/__init__": "from circular.a.c import x",
                "a/c": "from circular.a.d import x",
                "a/d": TYPES_ALONE,
            },
            set(),
        ),
    ],
    ids=["within a function", "by a package", "none"],
)
def test_circles_are_found(
    files: dict[str, str], circle: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"__init__": "", **files}.items():
        path = tmp_path / "circular" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(find_circle("circular")) == {f"circular.{name}" for name in circle}
