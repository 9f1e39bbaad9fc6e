"""Named, complete settings that ship with the package, one TOML file each in `presets/`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Preset:
    """A settings file that ships with the package.

    Attributes:
        name: The file's name without its ending.
        recipe: The recipe it is for.
        path: Where it lies.
        summary: Its first comment line.
    """

    name: str
    recipe: str
    path: Path
    summary: str


def list_presets(*, recipe: str | None = None) -> dict[str, Preset]:
    """Returns the presets by name, in alphabetical order.

    Args:
        recipe: Only those for this recipe.
    """
    presets = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.toml"))}
    return {n: p for n, p in presets.items() if recipe is None or p.recipe == recipe}


def _read(path: Path) -> Preset:
    text = path.read_text(encoding="utf-8")
    summary = next((x.lstrip("# ").rstrip() for x in text.splitlines() if x.startswith("#")), "")
    recipe = tomllib.loads(text).get("recipe")
    assert isinstance(recipe, str), f"{path.name} must begin with recipe = ..."
    return Preset(name=path.stem, recipe=recipe, path=path, summary=summary)
