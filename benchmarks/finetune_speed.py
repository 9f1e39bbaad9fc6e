"""Steps of fine-tuning on the CPU, against a plain PyTorch loop, in turns.

    python benchmarks/finetune_speed.py --steps 20

Both train the same BERT with random weights on rows of 128 tokens. The plain loop is as short as it
can be: its batches are tensors already; then forward pass, cross-entropy, backward pass, norm of
the gradients, AdamW. Limbeck's makes its batches from the examples, and keeps all that a run wants
of a step. They make a step each in turns, so that whatever slows the machine slows both; the ratio
is that of each pair's times. Prints one JSON object a shape.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from limbeck import BertConfig, BertForSequenceClassification
from limbeck.models import Model
from limbeck.objectives import TaskObjective
from limbeck.tasks import EncodedExample, EncodedExamples, TrainBatches, read_task
from limbeck.train import Budget, Schedule, build_adamw
from limbeck.train.loop import train_steps

SHAPES = {"2x64": (2, 64, 2), "6x384": (6, 384, 12)}
ROWS, LENGTH = 32, 128
WARMUP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for shape in arguments.shapes:
        print(json.dumps({"shape": shape, **measure(shape, steps=arguments.steps)}), flush=True)


def measure(shape: str, *, steps: int) -> dict[str, Any]:
    layers, width, heads = SHAPES[shape]
    torch.manual_seed(0)
    config = BertConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
    )
    model = BertForSequenceClassification(config).train()
    ways = {"limbeck": limbeck_steps(model), "plain": plain_steps(copy.deepcopy(model))}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARMUP + steps):
        for name in list(ways) if number % 2 else reversed(ways):
            start = time.perf_counter()
            next(ways[name])
            times[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(times["limbeck"], times["plain"], strict=True)][WARMUP:]
    return {
        **{f"{name}_ms": 1e3 * statistics.median(found[WARMUP:]) for name, found in times.items()},
        "ratio": statistics.median(ratios),
        "quartiles": statistics.quantiles(ratios, n=4)[::2],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def make_examples() -> EncodedExamples:
    ids = torch.randint(1000, 30000, (20 * ROWS, LENGTH))
    return EncodedExamples.of(
        EncodedExample(index=i, input_ids=row, token_type_ids=[0] * LENGTH, label=i % 2)
        for i, row in enumerate(ids.tolist())
    )


def limbeck_steps(model: Model) -> Iterator[object]:
    rows = [{"text": "a", "label": i} for i in (0, 1)]
    task = read_task("text_classification", {"train": rows})
    batches = TrainBatches(
        task, make_examples(), batch_size=ROWS, accumulate=1, pad_token_id=0, seed=0
    )
    return train_steps(
        TaskObjective(task, model),
        batches.steps(),
        optimizer=build_adamw([model], learning_rate=1e-5),
        schedule=Schedule(),
        budget=Budget(max_steps=10**6, max_minutes=None),
        device=torch.device("cpu"),
        max_grad_norm=1.0,
    )


def plain_steps(model: Model) -> Iterator[float]:
    examples = make_examples()
    ids = torch.tensor([row.input_ids for row in examples]).split(ROWS)
    labels = torch.arange(len(examples)).remainder(2).split(ROWS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    for inputs, wanted in itertools.cycle(zip(ids, labels, strict=True)):
        optimizer.zero_grad()
        output = model(input_ids=inputs, token_type_ids=torch.zeros_like(inputs))
        assert output.logits is not None
        loss = F.cross_entropy(output.logits, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.item()


if __name__ == "__main__":
    main()
