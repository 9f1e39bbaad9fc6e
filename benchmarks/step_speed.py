"""Whole optimiser steps of distillation on a GPU, against the way of the original code.

    python benchmarks/step_speed.py --lengths DATA/corpus --tokenizer runs/teacher --out speed.jsonl

Every way runs through the same training loop, optimiser and precision, with random weights:

- `limbeck`: packed rows, the vocabulary heads on masked rows in chunks (the preset `distilbert`).
- `limbeck, compiled`: the same, both encoders under `torch.compile` (with `--compile`).
- `all rows`: the same rows and losses, with full logits of both models first.
- `all rows, soft targets everywhere`: as the original code's defaults have it.
- `lines by length`, `lines`: the latter on a line of text a row, padded to the longest of the
  batch, with lines of like length together or not. Lines are the corpus's paragraphs, those of
  fewer than 12 tokens left out and longer ones cut into parts, as the original code does.

All batches have the same number of places (rows times length), so that real tokens a second are
what compares. Writes one JSON object a line, as soon as it is there: the matrix product's rate
first, then each way with seconds a step, real tokens a second, peak memory, and the share of the
matrix product's rate at which its own multiplications ran (none of padding, and of the heads only
those on masked rows, are counted: what the losses need).
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import random
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck import BertConfig, BertForMaskedLM
from limbeck.data import MaskedBatch
from limbeck.losses import build_loss
from limbeck.methods import apply_methods
from limbeck.models import Model
from limbeck.objectives import TextObjective
from limbeck.train import Budget, Schedule, build_adamw
from limbeck.train.loop import train_steps

WEIGHTS = {"soft_targets": 5.0, "masked_lm": 2.0, "cosine": 1.0}
SHAPES = {"6x384": (6, 384), "12x768": (12, 768)}
SHORTEST_LINE = 12
NUM_LINES = 8192
BATCHES = 8  # different ones, used in turns; the first round is a warm-up


@dataclass(frozen=True)
class WholeBatch:
    """A batch of which nothing is looked up beforehand."""

    batch: MaskedBatch
    counts: Mapping[str, int] = field(default_factory=dict)

    def to(self, device: torch.device) -> WholeBatch:
        return WholeBatch(self.batch.to(device))


class FullLogits:
    """The triple loss as the original code computes it: full logits of both models first."""

    def __init__(self, student: Model, teacher: Model, *, everywhere: bool) -> None:
        self._student = student
        self._teacher = teacher
        self._everywhere = everywhere

    def prepare(self, batch: MaskedBatch) -> WholeBatch:
        return WholeBatch(batch)

    def __call__(
        self,
        prepared: WholeBatch,
        counts: Mapping[str, int],  # noqa: ARG002
    ) -> tuple[Tensor, dict[str, Tensor]]:
        batch = prepared.batch
        ids, mask = batch.input_ids, batch.attention_mask
        ours = self._student.encode(ids, mask).last_hidden_state
        logits = self._student.head(ours)
        with torch.no_grad():
            theirs = self._teacher.encode(ids, mask).last_hidden_state
            expected = self._teacher.head(theirs)
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        chosen = real if self._everywhere else batch.labels != -100
        divergence = F.kl_div(
            (logits[chosen].float() / 2).log_softmax(-1),
            (expected[chosen].float() / 2).log_softmax(-1),
            reduction="batchmean",
            log_target=True,
        )
        cross_entropy = F.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten())
        cosine = (1 - F.cosine_similarity(ours[real], theirs[real], dim=-1)).mean()
        terms = {"soft_targets": 4 * divergence, "masked_lm": cross_entropy, "cosine": cosine}
        total = sum(WEIGHTS[name] * term for name, term in terms.items())
        assert isinstance(total, Tensor)
        return total, {name: term.detach() for name, term in terms.items()}


def mask_words(ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    labels = torch.where((torch.rand(ids.shape) < 0.15) & real, ids, -100)
    return torch.where(labels == -100, ids, 103), labels


def packed_batch(rows: int, length: int) -> MaskedBatch:
    ids = torch.randint(1000, 30000, (rows, length))
    inputs, labels = mask_words(ids, torch.ones_like(ids, dtype=torch.bool))
    return MaskedBatch(inputs, labels)


def line_batches(
    lengths: list[int], *, rows: int, length: int, by_length: bool
) -> Iterator[MaskedBatch]:
    """Yields batches of as many lines as fit into the places of a packed batch."""
    parts = [part for line in lengths for part in cut(line, length)]
    random.shuffle(parts)
    groups: list[list[int]] = []
    for part in sorted(parts) if by_length else parts:
        padded = max([*groups[-1], part]) * (len(groups[-1]) + 1) if groups else math.inf
        if padded > rows * length:
            groups.append([])
        groups[-1].append(part)
    groups.pop()  # not full
    random.shuffle(groups)
    for group in itertools.cycle(groups):
        ids = torch.randint(1000, 30000, (len(group), max(group)))
        real = torch.arange(max(group))[None, :] < torch.tensor(group)[:, None]
        inputs, labels = mask_words(ids, real)
        yield MaskedBatch(torch.where(real, inputs, 0), labels, real.long())


def cut(line: int, length: int) -> list[int]:
    whole, left = divmod(line, length)
    return [length] * whole + ([left] if left >= SHORTEST_LINE else [])


def read_lengths(source: Path, tokenizer: str) -> list[int]:
    """Returns the lengths of some paragraphs in tokens: of a folder's texts, or of a JSON list."""
    if source.is_file():
        return list(json.loads(source.read_text(encoding="utf-8")))
    from limbeck.tokenizers import AutoTokenizer

    pieces = AutoTokenizer.from_pretrained(tokenizer)
    paragraphs: list[str] = []
    for path in sorted(source.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                paragraphs += [p for p in json.loads(line)["text"].split("\n\n") if p.strip()]
    chosen = random.Random(0).sample(paragraphs, min(NUM_LINES, len(paragraphs)))
    return [len(pieces(paragraph)["input_ids"]) for paragraph in chosen]


def multiplications(
    *, layers: tuple[int, int], width: int, length: int, tokens: int, masked: int
) -> float:
    """Returns the floating-point operations of a step's matrix products (2 a multiply-add).

    A teacher's are once, a student's three times its forward pass.
    """
    teacher, student = layers
    per_token = 24 * width**2 + 4 * length * width
    heads = masked * 2 * (width**2 + width * 30522) * (1 + 3)
    return tokens * per_token * (teacher + 3 * student) + heads


def matrix_product_rate(size: int = 8192) -> float:
    """Returns the operations a second of a bf16 matrix product of random numbers."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(30):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        a @ b
        end.record()
        torch.cuda.synchronize()
        seconds.append(start.elapsed_time(end) / 1000)
    return 2 * size**3 / statistics.median(seconds[10:])


def measure(
    objective: Any,
    student: Model,
    batches: list[MaskedBatch],
    *,
    device: torch.device,
    warmup: int,
    steps: int,
) -> dict[str, Any]:
    optimizer = build_adamw([student], learning_rate=1e-5)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    made = train_steps(
        objective,
        ([batch] for batch in itertools.cycle(batches)),
        optimizer=optimizer,
        schedule=Schedule(),
        budget=Budget(max_steps=warmup + steps, max_minutes=None),
        device=device,
        max_grad_norm=5.0,
        precision="bf16",
    )
    ends = [0.0, *(step.elapsed_seconds for step in made)]
    seconds = [b - a for a, b in itertools.pairwise(ends)][warmup:]
    used = [batches[(warmup + i) % len(batches)] for i in range(len(seconds))]
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    student.zero_grad(set_to_none=True)
    return {
        "seconds_a_step": statistics.median(seconds),
        "slowest_step": max(seconds),
        "tokens_a_second": sum(batch.num_tokens for batch in used) / sum(seconds),
        "real_tokens": sum(batch.num_tokens for batch in used) / len(used),
        "places": sum(batch.input_ids.numel() for batch in used) / len(used),
        "masked": sum(batch.num_masked for batch in used) / len(used),
        "peak_memory": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lengths", type=Path, required=True)
    parser.add_argument("--tokenizer", default="runs/teacher")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument("--sequence-lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--places", type=int, default=32768)
    parser.add_argument("--chunk-rows", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--warmup", type=int, default=BATCHES)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", nargs="+", help="some of the ways")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths = read_lengths(options.lengths, options.tokenizer)

    def write(**values: Any) -> None:
        print(json.dumps(values), flush=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    rate = matrix_product_rate() if device.type == "cuda" else 0.0
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    write(device=name, torch=torch.__version__, matrix_product_rate=rate)
    for shape in options.shapes:
        for length in options.sequence_lengths:
            torch.manual_seed(0)
            random.seed(0)
            depth, width = SHAPES[shape]
            config = BertConfig(
                hidden_size=width, num_hidden_layers=depth, intermediate_size=4 * width
            )
            teacher = BertForMaskedLM(config).to(device).eval().requires_grad_(requires_grad=False)
            start = {"method": "keep_layers", "layers": "every_other", "model_type": "distilbert"}
            student = apply_methods(teacher, [start]).to(device).train()
            student.requires_grad_(requires_grad=True)
            rows = options.places // length
            losses = {key: build_loss(key, {"weight": value}) for key, value in WEIGHTS.items()}
            ours = TextObjective(student, losses, teacher=teacher, chunk_rows=options.chunk_rows)
            everywhere = FullLogits(student, teacher, everywhere=True)
            packed = [packed_batch(rows, length) for _ in range(BATCHES)]
            ways: dict[str, tuple[Any, list[MaskedBatch]]] = {
                "limbeck": (ours, packed),
                "all rows": (FullLogits(student, teacher, everywhere=False), packed),
                "all rows, soft targets everywhere": (everywhere, packed),
            }
            for by_length in (True, False):
                lines = list(
                    itertools.islice(
                        line_batches(lengths, rows=rows, length=length, by_length=by_length),
                        BATCHES,
                    )
                )
                label = "lines by length" if by_length else "lines"
                ways[label] = (everywhere, lines)
            ways["limbeck, again"] = ways["limbeck"]
            if options.compile:
                ways["limbeck, compiled"] = ways["limbeck"]
            for way, (objective, batches) in ways.items():
                if options.only and way not in options.only:
                    continue
                if way.endswith("compiled"):
                    student.encoder.compile()
                    teacher.encoder.compile()
                values = {"shape": shape, "length": length, "rows": rows, "way": way}
                try:
                    found = measure(
                        objective,
                        student,
                        batches,
                        device=device,
                        warmup=options.warmup,
                        steps=options.steps,
                    )
                except torch.cuda.OutOfMemoryError as error:
                    write(**values, failed=str(error)[:200])
                    continue
                work = multiplications(
                    layers=(depth, student.config.num_hidden_layers),
                    width=width,
                    length=length,
                    tokens=found["real_tokens"],
                    masked=found["masked"],
                )
                share = work / found["seconds_a_step"] / rate if rate else None
                write(**values, **found, operations=work, share_of_matrix_product=share)


if __name__ == "__main__":
    main()
