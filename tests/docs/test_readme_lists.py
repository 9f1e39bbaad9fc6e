"""The README's lists of what there is have all of it, as it is typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from limbeck import listing

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize(
    ("row", "kind"), [("formats (`limbeck export --to`)", "targets"), ("engines", "engines")]
)
def test_a_row_has_all_of_a_room(row: str, kind: str) -> None:
    cell = README.read_text(encoding="utf-8").partition(f"| {row} | ")[2].partition(" |\n")[0]
    room = listing.ROOMS[kind]
    names = [listing.spell_name(room, name) for name in listing.list_names(room)]
    assert re.findall(r"`([a-z0-9_-]+)`", cell) == names
