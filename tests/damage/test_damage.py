"""Every kind of file that a run writes, damaged: noticed by name, mended, or without effect.

A new kind of file is attacked without anybody writing a test for it: the files are those that the
runs of `scenes` leave, grouped by their names without numbers. `LIMBECK_DAMAGE=20` tries twenty
mutations of each kind in a scene instead of one; `LIMBECK_DAMAGE_SEED` chooses others.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from ground import Ground
from mutations import MUTATIONS
from scenes import SCENES, Scene
from snapshot import is_read_back, take_snapshot

from limbeck.errors import LimbeckError

_PER_KIND = int(os.environ.get("LIMBECK_DAMAGE", "1"))
_SEED = int(os.environ.get("LIMBECK_DAMAGE_SEED", "0"))
_HELP = re.compile(
    r"again|remove|delete|put (it )?back|give|copy|run |fetch|correct|accepted|name it", re.I
)


def kind_of(path: str) -> str:
    """Returns a file's name without numbers: what is called alike is written by the same lines."""
    return re.sub(r"\d+", "#", Path(path).name)


def group_by_kind(folder: Path) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_read_back(path):
            name = path.relative_to(folder).as_posix()
            kinds.setdefault(kind_of(name), []).append(name)
    return kinds


class Stage:
    """A scene that is set again before each damage, always at the same place."""

    def __init__(self, scene: Scene, ground: Ground, base: Path) -> None:
        self.folder, self._whole = base / "scene", base / "whole"
        self._scene, self._ground = scene, ground
        scene.make(ground, self.folder)
        shutil.copytree(self.folder, self._whole)
        self.kinds = group_by_kind(self._whole)
        self.expected = self.read()

    def set(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._whole, self.folder)

    def read(self) -> dict[str, str]:
        for act in self._scene.read:
            act(self._ground, self.folder)
        return take_snapshot(self.folder)

    def try_damage(self, name: str, *, mutation: int, seed: str) -> str | None:
        """Damages a file and reads the scene; returns what is wrong with what came of it."""
        self.set()
        path, random = self.folder / name, Random(seed)
        others = [self._whole / other for other in self.kinds[kind_of(name)] if other != name]
        before = path.read_bytes()
        mutate = MUTATIONS[mutation % len(MUTATIONS)]
        content = mutate(before, random, [other.read_bytes() for other in others])
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        what = f"{name}, {mutate.__name__}"
        self._ground.lines.clear()
        try:
            found = self.read()
        except LimbeckError as error:
            message = str(error)
            if path.name not in message and str(path.parent) not in message:
                return f"{what}: not named in: {message}"
            return None if _HELP.search(message) else f"{what}: no help in: {message}"
        except Exception as error:
            return f"{what}: {type(error).__name__}: {error}"
        differing = [
            key
            for key in sorted(found.keys() | self.expected.keys())
            if found.get(key) != self.expected.get(key)
        ]
        if differing == [name] or any(str(path) in line for line in self._ground.lines):
            return None  # nothing that ran reads it, or it was said what was lost
        return f"{what}: another result without a word: {differing[:6]}" if differing else None


def damages(stage: Stage) -> Iterator[tuple[str, int, str]]:
    for kind, names in sorted(stage.kinds.items()):
        for number in range(_PER_KIND):
            seed = f"{_SEED} {kind} {number}"
            mutation = zlib.crc32(f"{_SEED} {kind}".encode()) + number
            yield Random(seed).choice(names), mutation, seed


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_damage_is_noticed_or_without_effect(scene: str, ground: Ground, tmp_path: Path) -> None:
    stage = Stage(SCENES[scene], ground, tmp_path)
    tried = [
        stage.try_damage(name, mutation=mutation, seed=seed)
        for name, mutation, seed in damages(stage)
    ]
    assert len(tried) == len(stage.kinds) * _PER_KIND
    problems = [problem for problem in tried if problem is not None]
    assert not problems, f"{len(problems)} of {len(tried)}:\n" + "\n".join(problems)
