"""Every run, killed with SIGKILL and started again, ends as one left alone, and leaves no more.

`LIMBECK_KILLS=50` kills each run that often instead of twice; `LIMBECK_DAMAGE_SEED` chooses when.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from random import Random

import pytest
from ground import Ground
from killing import run_in_child
from scenes import FRESH
from snapshot import take_snapshot

_KILLS = int(os.environ.get("LIMBECK_KILLS", "2"))
_SEED = os.environ.get("LIMBECK_DAMAGE_SEED", "0")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no SIGKILL on this system")
@pytest.mark.parametrize("name", FRESH)
def test_a_killed_run_ends_as_one_left_alone(name: str, ground: Ground, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    act = partial(FRESH[name], ground, folder)
    num_changes = run_in_child(act, folder)
    assert num_changes is not None
    expected = take_snapshot(folder)
    assert expected
    random = Random(f"{_SEED} {name}")
    problems = []
    for _ in range(_KILLS):
        shutil.rmtree(folder)
        first = random.randint(1, num_changes)
        assert run_in_child(act, folder, kill_at=first) is None
        second = random.randint(1, num_changes)  # the second start comes to its end, or not
        run_in_child(act, folder, kill_at=second)
        try:
            act()
        except Exception as error:
            problems.append(f"killed at {first}, {second}: {type(error).__name__}: {error}")
            continue
        found = take_snapshot(folder)
        differing = [
            key for key in sorted(found.keys() | expected) if found.get(key) != expected.get(key)
        ]
        if differing:
            problems.append(f"killed at {first}, {second}: {differing[:6]}")
    assert not problems, f"{len(problems)} of {_KILLS}:\n" + "\n".join(problems)
