"""Packages that import their names when they are used have all that they say."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import limbeck

ROOT = Path(limbeck.__file__).parent
LAZY = sorted(
    path.parent.relative_to(ROOT.parent).as_posix().replace("/", ".")
    for path in ROOT.rglob("__init__.py")
    if "lazy_names(" in path.read_text(encoding="utf-8")
)


def test_there_are_some() -> None:
    assert {"limbeck.data", "limbeck.inference", "limbeck.models", "limbeck.nn"} <= set(LAZY)


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_package_has_what_it_says(name: str) -> None:
    package = importlib.import_module(name)
    path = Path(str(package.__file__))
    (block,) = (
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If)
    )
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        home = importlib.import_module(str(node.module))
        for alias in node.names:
            assert getattr(package, alias.name) is getattr(home, alias.name)
    imported = [a.name for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names]
    assert sorted(imported) == sorted(package.__all__)
    modules = {path.stem for path in path.parent.iterdir()}
    assert not modules & set(package.__all__), "a module of this name would be meant at times"
    with pytest.raises(AttributeError, match=rf"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing
