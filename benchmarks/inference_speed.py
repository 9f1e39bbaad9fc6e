"""Encoder forward passes in bf16 on a GPU: ours and those of `transformers`, the same weights.

    python benchmarks/inference_speed.py --out inference.jsonl

`full`: every row has the whole length. `mixed`: rows of all lengths up to it, padded to the longest
and masked; real tokens count. The batch size doubles until that brings less than 5 % more. Ours and
theirs in turns, medians; one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.models import AutoModel

SHAPES = {"3x384": (3, 384), "6x768": (6, 768)}
ROUNDS = 10
MOST_TOKENS = 2**17


def batches(
    kind: str, *, rows: int, length: int, device: str
) -> list[tuple[Tensor, Tensor | None, int]]:
    """Returns four batches, each with its mask and its number of real tokens."""
    if kind == "full":
        ids = [torch.randint(1000, 30000, (rows, length), device=device) for _ in range(4)]
        return [(i, None, i.numel()) for i in ids]
    lengths = [random.randint(4, length) for _ in range(4 * rows)]
    found = []
    for first in range(0, len(lengths), rows):
        group = torch.tensor(lengths[first : first + rows], device=device)
        ids = torch.randint(1000, 30000, (rows, int(group.max())), device=device)
        mask = (torch.arange(ids.shape[1], device=device)[None, :] < group[:, None]).long()
        found.append((ids * mask, mask, int(group.sum())))
    return found


def forward(model: Callable[..., Any], data: list[tuple[Tensor, Tensor | None, int]]) -> None:
    for ids, mask, _ in data:
        model(input_ids=ids, attention_mask=mask)


def seconds(run: Callable[[], Any]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lengths", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    import transformers

    device = "cuda"
    for shape, (depth, width) in SHAPES.items():
        torch.manual_seed(0)
        random.seed(0)
        with tempfile.TemporaryDirectory() as folder:
            config = transformers.BertConfig(
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=12,
                intermediate_size=4 * width,
            )
            transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
            theirs = transformers.BertModel.from_pretrained(
                folder, add_pooling_layer=False, dtype=torch.bfloat16
            )
            ours = AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.bfloat16)
        theirs, ours = theirs.to(device).eval(), ours.to(device).eval()
        ways: dict[str, Callable[..., Any]] = {"limbeck": ours, "transformers": theirs}
        if options.compile:
            ways["limbeck, compiled"] = torch.compile(ours, dynamic=False)
        with torch.inference_mode():
            for length in options.lengths:
                for kind in ("full", "mixed"):
                    best: dict[str, dict[str, Any]] = {}
                    rows = max(8, 16384 // length)
                    while rows * length <= MOST_TOKENS:
                        data = batches(kind, rows=rows, length=length, device=device)
                        tokens = sum(count for _, _, count in data)
                        found: dict[str, list[float]] = {name: [] for name in ways}
                        for number in range(ROUNDS + 2):
                            for name, model in ways.items():
                                took = seconds(partial(forward, model, data))
                                if number > 1:
                                    found[name].append(took)
                        better = False
                        for name, values in found.items():
                            rate = tokens / statistics.median(values)
                            before = best.get(name, {"tokens_a_second": 0.0})["tokens_a_second"]
                            better = better or rate > 1.05 * before
                            if rate > before:
                                best[name] = {
                                    "tokens_a_second": rate,
                                    "rows_a_second": 4 * rows / statistics.median(values),
                                    "rows": rows,
                                }
                        ratio = statistics.median(
                            b / a
                            for a, b in zip(found["limbeck"], found["transformers"], strict=True)
                        )
                        if not better:
                            break
                        rows *= 2
                    line = {"shape": shape, "length": length, "kind": kind, "best": best}
                    line |= {"ratio_at_last_batch_size": ratio, "torch": torch.__version__}
                    line |= {"transformers": transformers.__version__}
                    print(json.dumps(line), flush=True)
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
