"""The table of pipelines in the README has all of them, by all their names."""

from __future__ import annotations

import re
from pathlib import Path

from limbeck.inference.pipelines import list_pipelines

README = Path(__file__).parents[2] / "README.md"


def test_the_table_has_all_pipelines() -> None:
    text = README.read_text(encoding="utf-8").partition("| `pipeline(TASK, model=...)` |")[2]
    rows = [line.split("|")[1] for line in text.partition("\n\n")[0].splitlines()[2:]]
    shown = [tuple(re.findall(r"`([a-z-]+)`", row)) for row in rows]
    assert sorted(shown) == sorted((cls.task, *cls.aliases) for cls in list_pipelines())
