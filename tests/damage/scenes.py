"""Runs of every recipe, finished and stopped, and for each what reads again what it left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ground import Ground, StopAfter, StopAt, StopError

from limbeck.report import write_report
from limbeck.report.distillation import read_distillation

Act = Callable[[Ground, Path], Any]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A folder with runs.

    Attributes:
        make: Makes it.
        read: What reads it again, one after the other.
    """

    make: Act
    read: tuple[Act, ...]


def _stopped(make: Callable[..., Any], out: Path, progress: Any) -> None:
    with suppress(StopError):
        make(out, progress)
        raise AssertionError("the run was to be stopped on its way")


def _two_runs(ground: Ground, folder: Path) -> None:
    ground.finetune(folder / "whole", seeds=[0, 1], role="teacher")
    ground.finetune(folder / "half", seeds=[0, 1], role="student", keep_layers=1)


def _two_evaluations(ground: Ground, folder: Path) -> None:
    for role in ("teacher", "student"):
        ground.evaluate(ground.teacher, folder / role, role=role, label=role)


def _report(*names: str) -> Act:
    return lambda ground, folder: write_report(
        [folder / name for name in names], out=folder / "report"
    )


def _read_distillation(ground: Ground, folder: Path) -> None:
    facts = read_distillation(folder / "run")
    (folder / "facts.txt").write_text(repr((facts.before, facts.after, facts.evaluate)))


SCENES: dict[str, Scene] = {
    "a corpus": Scene(
        make=lambda ground, folder: ground.build(folder / "corpus"),
        read=(
            lambda ground, folder: ground.build(folder / "corpus"),
            lambda ground, folder: ground.pretrain(
                folder / "run", corpus=folder / "corpus", max_steps=2
            ),
        ),
    ),
    "half a corpus": Scene(
        make=lambda ground, folder: _stopped(ground.build, folder / "corpus", StopAfter(90)),
        read=(lambda ground, folder: ground.build(folder / "corpus"),),
    ),
    "half a pretraining": Scene(
        make=lambda ground, folder: _stopped(ground.pretrain, folder / "run", StopAt("step 6: ")),
        read=(lambda ground, folder: ground.pretrain(folder / "run"),),
    ),
    "a pretraining of replaced tokens": Scene(
        make=lambda ground, folder: ground.find_replaced(folder / "run"),
        read=(lambda ground, folder: ground.find_replaced(folder / "run"),),
    ),
    "a distillation": Scene(
        make=lambda ground, folder: ground.distill(folder / "run"),
        read=(
            _read_distillation,
            lambda ground, folder: ground.distill(folder / "run"),
            lambda ground, folder: ground.pretrain(
                folder / "next", model=str(folder / "run/model"), max_steps=1
            ),
        ),
    ),
    "half a distillation": Scene(
        make=lambda ground, folder: _stopped(ground.distill, folder / "run", StopAt("step 6: ")),
        read=(_read_distillation, lambda ground, folder: ground.distill(folder / "run")),
    ),
    "distilled embeddings": Scene(
        make=lambda ground, folder: ground.distill_embeddings(folder),
        read=(lambda ground, folder: ground.distill_embeddings(folder),),
    ),
    "half of distilled embeddings": Scene(
        make=lambda ground, folder: _stopped(
            lambda out, progress: ground.distill_embeddings(folder, progress),
            folder,
            StopAt("step 6: "),
        ),
        read=(lambda ground, folder: ground.distill_embeddings(folder),),
    ),
    "half a student": Scene(
        make=lambda ground, folder: _stopped(ground.teach, folder, StopAt("epoch 2: ")),
        read=(lambda ground, folder: ground.teach(folder),),
    ),
    "a teacher and a student": Scene(
        make=_two_runs,
        read=(
            _report("whole", "half"),
            _two_runs,
            lambda ground, folder: ground.evaluate(
                str(folder / "whole/model"), folder / "evaluated", split="test"
            ),
        ),
    ),
    "evaluations": Scene(
        make=_two_evaluations, read=(_report("teacher", "student"), _two_evaluations)
    ),
    "an export": Scene(
        make=lambda ground, folder: ground.export(folder / "run"),
        read=(
            lambda ground, folder: ground.export(folder / "run"),
            lambda ground, folder: ground.evaluate(
                str(folder / "run/model"), folder / "evaluated", engine="onnxruntime"
            ),
        ),
    ),
    "a compression": Scene(
        make=lambda ground, folder: ground.compress(folder / "run"),
        read=(
            lambda ground, folder: ground.compress(folder / "run"),
            lambda ground, folder: ground.compress(folder / "run", retain=0.5),
        ),
    ),
    "a pruning": Scene(
        make=lambda ground, folder: ground.prune(folder / "run"),
        read=(lambda ground, folder: ground.prune(folder / "run"),),
    ),
    "half a pruning": Scene(
        make=lambda ground, folder: _stopped(
            ground.prune, folder / "run", StopAt("round 2 of 2: ")
        ),
        read=(lambda ground, folder: ground.prune(folder / "run"),),
    ),
    "early exits": Scene(
        make=lambda ground, folder: ground.early_exit(folder / "run"),
        read=(
            lambda ground, folder: ground.early_exit(folder / "run"),
            lambda ground, folder: ground.evaluate(str(folder / "run/model"), folder / "judged"),
        ),
    ),
    "early exits whose bound is yet to be chosen": Scene(
        make=lambda ground, folder: _stopped(ground.early_exit, folder / "run", StopAt("bound ")),
        read=(lambda ground, folder: ground.early_exit(folder / "run"),),
    ),
    "a chain": Scene(
        make=lambda ground, folder: ground.chain(folder / "run"),
        read=(lambda ground, folder: ground.chain(folder / "run"),),
    ),
    "a suite": Scene(
        make=lambda ground, folder: ground.suite(folder / "run"),
        read=(lambda ground, folder: ground.suite(folder / "run"),),
    ),
}

FRESH: dict[str, Act] = {
    "a corpus": SCENES["a corpus"].make,
    "a pretraining": lambda ground, folder: ground.pretrain(folder / "run"),
    "a distillation": SCENES["a distillation"].make,
    "distilled embeddings": SCENES["distilled embeddings"].make,
    "a student": lambda ground, folder: ground.teach(folder),
    "a teacher and a student": _two_runs,
    "an evaluation": lambda ground, folder: ground.evaluate(ground.teacher, folder / "run"),
    "an export": SCENES["an export"].make,
    "a compression": SCENES["a compression"].make,
    "a pruning": SCENES["a pruning"].make,
    "early exits": SCENES["early exits"].make,
    "a chain": SCENES["a chain"].make,
    "a suite": SCENES["a suite"].make,
}
"""Runs from an empty folder to their end, to be killed on the way."""
