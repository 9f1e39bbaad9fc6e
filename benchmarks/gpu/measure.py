"""Runs the measurements that need an accelerator, stage by stage; each result is written at once.

    python benchmarks/gpu/measure.py --out OUT --dry-run
    python benchmarks/gpu/measure.py --out OUT --minutes 9 methods general

Stages run in the order given, and none is begun that would not end in the minutes left. Expected
beside it: `runs/teacher` (all-MiniLM-L6-v2), `runs/corpus`, `runs/labelled`
(`prepare_tasks.py --labelled-only`), and for `base` models/all-mpnet-base-v2. `OUT/results.jsonl`
has a line a command: what it was, its seconds, its exit code, the result it wrote.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAMILY = "benchmarks/family"
GENERAL = (
    "teacher=runs/teacher corpus=runs/corpus layers=lower num_student_layers=3 model_type=bert "
    "precision=bf16 batch_size=256 chunk_rows=8192 learning_rate=7e-4 "
    "schedule.warmup_ratio=0.05 max_minutes={minutes}"
)
"""The same corpus, start, batch and minutes for all; only what is learned differs."""
UNMASKED = "masking.mask_share=0 masking.random_share=0"
LEARNED = {
    "distilbert": "'losses={ soft_targets={ weight=5 }, masked_lm={ weight=2 }, cosine={} }'",
    "limbeck": (
        "'losses={ soft_targets={}, masked_lm={ weight=2 }, cosine={ weight=20 }, "
        "hidden_mse={ weight=2 } }'"
    ),
    "minilm": (
        "'losses={ attention_kl={ student_layers=[-1] }, relations={ of=[\"values\"] } }' "
        f"{UNMASKED}"
    ),
    "minilm-v2": f"'losses={{ relations={{ num_relation_heads=48 }} }}' {UNMASKED}",
    "tinybert": f"'losses={{ hidden_mse={{}}, attention_mse={{}} }}' {UNMASKED}",
}
"""A table of losses takes the place of the default; where no word is predicted, none is masked."""
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Stage:
    """Commands that run one after the other; those of one line run beside each other.

    Attributes:
        seconds: What it took, or is thought to take, on one H200 with 14 workers.
        lines: The commands.
    """

    seconds: int
    lines: Sequence[Sequence[str]]


def suites(settings: str, out: str) -> list[str]:
    """Returns a suite a seed, since each student has a teacher of its own seed."""
    return [
        f"limbeck suite {FAMILY}/{settings} seeds=[{seed}] out=runs/{out}-{seed} workers=5"
        for seed in SEEDS
    ]


def general(name: str) -> str:
    """Returns the distillation on text of one student."""
    return f"limbeck distill {GENERAL.format(minutes=0.6)} {LEARNED[name]} out=runs/general-{name}"


STAGES = {
    "methods": Stage(480, [suites("methods.toml", "methods")]),
    "general": Stage(
        330,
        [
            *([general(name)] for name in LEARNED),
            suites("general.toml", "general"),
        ],
    ),
    "base": Stage(300, [suites("base.toml", "base-methods")]),
    "speed": Stage(
        60,
        [
            ["python benchmarks/families_speed.py"],
            ["python benchmarks/inference_speed.py"],
        ],
    ),
}
"""Most valuable first."""


def main() -> int:
    """Runs the stages that were named, all if none was; returns how many commands failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stages", metavar="STAGE", nargs="*", help=f"some of {', '.join(STAGES)}")
    parser.add_argument("--out", type=Path, required=True, help="folder of results.jsonl")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="no stage is begun that needs more"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the commands and their seconds"
    )
    arguments = parser.parse_args()
    names = arguments.stages or list(STAGES)
    if unknown := sorted(set(names) - set(STAGES)):
        parser.error(f"there is no stage '{unknown[0]}'; accepted: {', '.join(STAGES)}")
    end = time.monotonic() + 60 * arguments.minutes
    num_failed = 0
    for name in names:
        stage = STAGES[name]
        print(f"{name}: some {stage.seconds} s")
        if arguments.dry_run:
            for line in stage.lines:
                print("".join(f"  {command}\n" for command in line), end="")
        elif time.monotonic() + stage.seconds > end:
            print("  left out: the time is up")
        else:
            arguments.out.mkdir(parents=True, exist_ok=True)
            for line in stage.lines:
                num_failed += run_beside(line, name, arguments.out, end)
    return num_failed


def run_beside(commands: Sequence[str], stage: str, out: Path, end: float) -> int:
    """Runs commands beside each other, writes a line of each, and returns how many failed."""
    began = time.monotonic()
    running = []
    for number, command in enumerate(commands):
        log = (out / f"{stage}-{number}.log").open("a", encoding="utf-8")
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        running.append(subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT))
    num_failed = 0
    for command, process in zip(commands, running, strict=True):
        try:
            process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()  # a run's own checkpoint stays
            process.wait()
        num_failed += process.returncode != 0
        record = {
            "stage": stage,
            "command": command,
            "seconds": round(time.monotonic() - began, 1),
            "exit_code": process.returncode,
            "result": read_result(command),
        }
        with (out / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    return num_failed


def read_result(command: str) -> Any:
    """Returns what a run wrote as its result, if it is a run and got that far."""
    folder = [word.removeprefix("out=") for word in command.split() if word.startswith("out=")]
    path = Path(folder[0], "result.json") if folder else None
    if path is None or not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
