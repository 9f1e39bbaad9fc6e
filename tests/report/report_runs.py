"""Run folders as `finetune` and `distill` leave them, with random predictions in real files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.files import sha256_of
from limbeck.files.typed import seal
from limbeck.report import Report, write_report
from limbeck.runs import DistillRecord, FinetuneRecord, Hardware, RunRecord

NAMES = ("NEGATIVE", "POSITIVE")
NUM_EXAMPLES = 400


def make_labels(num_examples: int = NUM_EXAMPLES, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, size=num_examples)


def make_finetune_run(
    folder: Path,
    *,
    label: str,
    role: str,
    accuracy: float = 0.8,
    seeds: Sequence[int] = (0, 1, 2),
    num_layers: int = 6,
    task: str = "sst2",
    metric: str = "accuracy",
    num_examples: int = NUM_EXAMPLES,
    splits: Sequence[str] = ("validation", "test"),
    difficulty_seed: int = 7,
    settings: dict[str, Any] | None = None,
    num_steps: int = 30,
    num_epochs: float = 3.0,
    examples_sha256: str = "0" * 64,
) -> Path:
    """Writes a finished run; models fail on much the same examples, as real ones do."""
    num_parameters = 11_000_000 + 1_800_000 * num_layers
    size = {
        "num_layers": num_layers,
        "num_parameters": num_parameters,
        "file_bytes": 4 * num_parameters + 10_000,
    }
    records = []
    for seed in seeds:
        seed_folder = folder / f"seed-{seed}"
        seed_folder.mkdir(parents=True)
        scores: dict[str, Any] = {"validation": {}, "test": None}
        lines = []
        for number, split in enumerate(splits):
            labels = make_labels(num_examples, seed=number)
            hardness = np.random.default_rng((difficulty_seed, number)).random(num_examples)
            own = np.random.default_rng((abs(hash_of(label)), seed, number))
            wrong = 0.8 * hardness + 0.2 * own.random(num_examples)
            threshold = np.quantile(wrong, accuracy + own.normal(0, 0.006))
            predictions = np.where(wrong > threshold, 1 - labels, labels)
            scores[split] = {
                "accuracy": float(np.mean(predictions == labels)),
                "num_examples": num_examples,
            }
            lines += [
                {
                    "split": split,
                    "index": index,
                    "label": NAMES[truth],
                    "prediction": NAMES[predicted],
                    "scores": [0.5, 0.5],
                }
                for index, (truth, predicted) in enumerate(zip(labels, predictions, strict=True))
            ]
        write_lines(seed_folder / "predictions.jsonl", lines)
        records.append(
            {
                "seed": seed,
                **scores,
                "best_epoch": 2.0,
                "best_step": 20,
                "num_steps": num_steps,
                "num_epochs": num_epochs,
                "elapsed_seconds": 30.0 * num_layers,
                "folder": f"seed-{seed}",
                "examples_sha256": examples_sha256,
                "tokenizer_sha256": "1" * 64,
                "predictions_sha256": sha256_of(seed_folder / "predictions.jsonl"),
                **size,
            }
        )
    write_run_record(folder, "finetune", {"task": task, **(settings or {})})
    FinetuneRecord.model_validate(
        {
            "task": task,
            "metric": metric,
            "labels": [],
            "label": label,
            "role": role,
            "model": f"models/{label}",
            "initialise": "pretrained",
            "best_seed": seeds[0],
            "seeds": records,
            **size,
        }
    ).write(folder)
    return folder


def write_run_record(folder: Path, recipe: str, settings: dict[str, Any]) -> None:
    hardware = Hardware(
        cpu="A processor",
        num_cores=4,
        num_usable_cores=2,
        memory_bytes=None,
        gpus=(),
        num_threads=2,
        system="Linux",
    )
    RunRecord(
        recipe=recipe,
        settings=settings,
        limbeck_version="0.1.0",
        versions={"python": "3.11.9", "torch": "2.13.0+cpu"},
        seed=None,
        hardware=hardware,
        git=None,
        command=f"limbeck {recipe}",
        started_at="2026-11-27T05:00:00+00:00",
    ).write(folder)


def sign_predictions(folder: Path) -> None:
    """Takes predictions that a test has changed for those of the run."""
    record = FinetuneRecord.read(folder)
    seeds = [
        seed.model_copy(
            update={"predictions_sha256": sha256_of(folder / seed.folder / "predictions.jsonl")}
        )
        for seed in record.seeds
    ]
    record.model_copy(update={"seeds": tuple(seeds)}).write(folder)


def make_distill_run(folder: Path, *, finished: bool = True, num_steps: int = 600) -> Path:
    """Writes the metrics of a distillation whose losses fall."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    lines: list[dict[str, Any]] = []
    for step in range(0, num_steps + 1, 10):
        left = float(np.exp(-step / 150))
        noise = float(random.normal(0, 0.05))
        if step:
            lines.append(
                {
                    "kind": "train",
                    "step": step,
                    "loss": 9 + 14 * left + noise,
                    "loss_soft_targets": 0.6 + 1.6 * left + noise / 5,
                    "loss_masked_lm": 2.6 + 2.2 * left + noise / 5,
                    "loss_cosine": 0.1 + 0.4 * left,
                    "learning_rate": 5e-4,
                    "grad_norm": 1.0,
                    "num_tokens": 4096,
                    "elapsed_seconds": 0.8 * step,
                }
            )
        if step % 100 == 0:
            lines.append(
                {
                    "kind": "evaluate",
                    "step": step,
                    "num_tokens": step * 4096,
                    "mlm_loss": 2.7 + 2.6 * left,
                    "mlm_accuracy": 0.48 - 0.3 * left,
                    "teacher_mlm_loss": 2.2,
                    "teacher_mlm_accuracy": 0.56,
                    "kl_to_teacher": 0.6 + 2.1 * left,
                    "teacher_agreement": 0.66 - 0.4 * left,
                    "cosine": 0.9 - 0.4 * left,
                }
            )
    write_lines(folder / "metrics.jsonl", lines)
    if finished:
        write_run_record(folder, "distill", {})
        DistillRecord(
            model=str(folder / "model"),
            teacher="teacher",
            num_layers=3,
            num_parameters=16_000_000,
            teacher_num_layers=6,
            teacher_num_parameters=22_000_000,
            num_steps=num_steps,
            num_tokens=num_steps * 4096,
            elapsed_seconds=0.8 * num_steps,
            held_out_before={"mlm_loss": 5.3},
            held_out_after={"mlm_loss": 2.7},
        ).write(folder)
    return folder


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode("utf-8")[:6].ljust(6, b"."), "big")


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    write_json(path, seal({**json.loads(path.read_text(encoding="utf-8")), **changes}))


def write(runs: Sequence[Path], folder: Path, **options: Any) -> Report:
    return write_report(runs, out=folder / "report", **options)


def read(report: Report, kind: str) -> str:
    return report.files[kind].read_text(encoding="utf-8")
