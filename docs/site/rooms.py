"""The map of rooms and imports, as it is in the code: a page of the documentation site."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]

INTRODUCTION = """Read from the code when this page was built. A dot says that the room of its row
imports from the room of its column. All lie above the diagonal: imports point down only, and none
goes in a circle."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A room of the package, or a module at its top.

    Attributes:
        name: Its name.
        floor: Its place in the contract of layers, from the top.
        summary: First line of its docstring.
        num_files: Python files in it.
        num_lines: Lines of these.
        imports: Rooms that it imports from, in the order of the floors.
    """

    name: str
    floor: int
    summary: str
    num_files: int
    num_lines: int
    imports: tuple[str, ...]


def describe_rooms() -> str:
    """Returns the page: a picture, and the same in words.

    Raises:
        SystemExit: If an import points up, or rooms import each other in a circle.
    """
    rooms = read_rooms()
    names = [room.name for room in rooms]
    for room in rooms:
        above = [name for name in room.imports if names.index(name) <= names.index(room.name)]
        if above:
            raise SystemExit(f"limbeck/{room.name} imports {above[0]}, which is not below it")
    rows = [
        f"| `{room.name}` | {room.num_files} | {room.num_lines:,} | {room.summary} | "
        f"{', '.join(room.imports)} |"
        for room in rooms
    ]
    return "\n".join(
        [
            "# Rooms and imports",
            "",
            INTRODUCTION,
            "",
            draw_matrix(rooms),
            "",
            "| room | files | lines | what it is | imports from |",
            "|---|---:|---:|---|---|",
            *rows,
            "",
        ]
    )


def read_rooms() -> list[Room]:
    """Returns the rooms from the top floor down."""
    graph = grimp.build_graph("limbeck")
    floors = read_floors()
    used: dict[str, set[str]] = {name: set() for name in floors}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            here, there = (name.split(".")[1:2] for name in (module, imported))
            if here and there and here != there:
                used[here[0]].add(there[0])
    return [
        Room(
            name=name,
            floor=floor,
            summary=summarise(name),
            num_files=len(find_files(name)),
            num_lines=sum(len(p.read_text("utf-8").split("\n")) - 1 for p in find_files(name)),
            imports=tuple(sorted(used[name], key=list(floors).index)),
        )
        for name, floor in floors.items()
    ]


def read_floors() -> dict[str, int]:
    """Returns the place of each room, as the contract in pyproject.toml has it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    return {name.strip(): floor for floor, layer in enumerate(layers) for name in layer.split("|")}


def find_files(room: str) -> list[Path]:
    """Returns the Python files of a room."""
    folder = ROOT / "limbeck" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def summarise(room: str) -> str:
    """Returns the first sentence of a room's docstring."""
    folder = ROOT / "limbeck" / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    found = re.match(r'"""(.*?)(\n\n|""")', path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(found[1].split()).replace("|", r"\|") if found else ""


def draw_matrix(rooms: list[Room]) -> str:
    """Returns the imports as a matrix in SVG, importers by row, imported by column."""
    cell, label = 24, 120
    size = label + cell * len(rooms)
    names = [room.name for room in rooms]
    style = "max-width:46rem;font:13px sans-serif"
    head = f'<svg viewBox="0 0 {size} {size}" role="img" style="{style}" fill="currentColor">'
    parts = [head, "<title>Which room imports from which</title>"]
    for row, room in enumerate(rooms):
        middle = label + cell * row + cell / 2
        parts.append(f'<text x="{label - 8}" y="{middle + 4}" text-anchor="end">{room.name}</text>')
        parts.append(
            f'<text transform="translate({middle + 4},{label - 8}) rotate(-90)">{room.name}</text>'
        )
        parts.append(
            f'<path d="M{label} {middle}H{size}M{middle} {label}V{size}" stroke="currentColor" '
            'opacity=".12"/>'
        )
        parts.append(
            f'<rect x="{middle - 5}" y="{middle - 5}" width="10" height="10" opacity=".25"/>'
        )
        for name in room.imports:
            x = label + cell * names.index(name) + cell / 2
            parts.append(f'<circle cx="{x}" cy="{middle}" r="5.5" fill="#0d9488"/>')
    return "".join(["<div>", *parts, "</svg></div>"])  # a block of its own, for Markdown
