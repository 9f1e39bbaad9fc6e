"""Whole distillation steps: vocabulary heads on masked rows in chunks, against all rows at once.

    python benchmarks/masked_rows.py --teacher-layers 6 --hidden-size 384 --steps 5

`limbeck` and `all_rows` compute the triple loss of the preset `distilbert` on the same batches, in
turn within one run; `all_rows_soft_targets` takes the soft targets over all rows too, as the
original code's default does. What counts are the ratios. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial

import torch
import torch.nn.functional as F

from limbeck import BertConfig, BertForMaskedLM
from limbeck.data import MaskedBatch
from limbeck.losses import build_loss
from limbeck.methods import apply_methods
from limbeck.models import Model
from limbeck.objectives import TextObjective


def make_batch(*, rows: int, length: int) -> MaskedBatch:
    ids = torch.randint(1000, 30000, (rows, length))
    labels = torch.where(torch.rand(rows, length) < 0.15, ids, -100)
    inputs = torch.where(labels == -100, ids, 103)
    return MaskedBatch.from_numpy(inputs.numpy(), labels=labels.numpy())


def plain_step(student: Model, teacher: Model, batch: MaskedBatch, *, everywhere: bool) -> None:
    """What the original code does: full logits of both models, then the selection, if any."""
    ours = student.encode(batch.input_ids).last_hidden_state
    logits = student.score(ours)
    with torch.no_grad():
        theirs = teacher.encode(batch.input_ids).last_hidden_state
        expected = teacher.score(theirs)
    chosen = torch.ones_like(batch.labels) == 1 if everywhere else batch.labels != -100
    divergence = F.kl_div(
        (logits[chosen] / 2).log_softmax(-1),
        (expected[chosen] / 2).log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )
    cross_entropy = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
    cosine = (1 - F.cosine_similarity(ours, theirs, dim=-1)).mean()
    (5 * 4 * divergence + 2 * cross_entropy + cosine).backward()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--teacher-layers", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    teacher = BertForMaskedLM(
        BertConfig(
            hidden_size=options.hidden_size,
            num_hidden_layers=options.teacher_layers,
            intermediate_size=4 * options.hidden_size,
        )
    ).eval()
    start = {"method": "keep_layers", "layers": "every_other", "model_type": "distilbert"}
    student = apply_methods(teacher, [start]).train()
    weights = {"soft_targets": 5, "masked_lm": 2, "cosine": 1}
    losses = {name: build_loss(name, {"weight": weight}) for name, weight in weights.items()}
    objective = TextObjective(student, losses, teacher=teacher)

    def limbeck_step(batch: MaskedBatch) -> None:
        prepared = objective.prepare(batch)
        objective(prepared, prepared.counts)[0].backward()

    ways = {
        "limbeck": limbeck_step,
        "all_rows": partial(plain_step, student, teacher, everywhere=False),
        "all_rows_soft_targets": partial(plain_step, student, teacher, everywhere=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.steps + 1):
        batch = make_batch(rows=options.rows, length=options.length)
        for name, step in ways.items():
            student.zero_grad(set_to_none=True)
            started = time.perf_counter()
            step(batch)
            if number:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, seconds["limbeck"], strict=True))
        for name, values in seconds.items()
    }
    print(
        json.dumps(
            {
                "median_seconds": medians,
                "median_ratio_to_limbeck": ratios,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                **vars(options),
            }
        )
    )


if __name__ == "__main__":
    main()
