"""MiniLM's relations with their gradient: some sequences at a time, against a loop over sequences.

    python benchmarks/relations_speed.py --rows 32 --length 128 --heads 48

`limbeck` is the loss `relations`; `loop` takes one sequence after the other without its padding, as
published code does, which on a GPU waits for the lengths; `at_once` holds the matrices of all. They
run in turn within one run on the same numbers; what counts are the ratios. With `--padded`
sequences end at random, else they are full, as packed text is. The memory of each is that of a
process of its own, by how much its peak rises above what the numbers take (Linux). Prints one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import BertConfig
from limbeck.losses import Compared, Views, build_loss
from limbeck.nn import additive_mask

RELATED = ("queries", "keys", "values")
WAYS = ("limbeck", "loop", "at_once")
_HEAD_SIZE = 32


def make_seen(options: argparse.Namespace) -> Compared:
    """Draws queries, keys and values of both models, the teacher twice as wide."""
    generator = torch.Generator().manual_seed(0)
    rows, length = options.rows, options.length

    def views(width: int) -> Views:
        shape = (rows, width // _HEAD_SIZE, length, _HEAD_SIZE)
        return Views(**{name: (torch.randn(shape, generator=generator),) for name in RELATED})

    lengths = torch.full((rows, 1), length)
    if options.padded:
        lengths = torch.randint(length // 4, length + 1, (rows, 1), generator=generator)
    mask = (torch.arange(length) < lengths).long()
    positions = mask.flatten().nonzero().squeeze(1)
    student = views(options.width)
    for name in RELATED:
        getattr(student, name)[0].requires_grad_()
    return Compared(
        student=student,
        teacher=views(2 * options.width),
        labels=torch.full_like(positions, -100),
        positions=positions,
        attention_mask=mask,
    )


def build(options: argparse.Namespace) -> nn.Module:
    student, teacher = (
        BertConfig(hidden_size=width, num_attention_heads=width // _HEAD_SIZE, num_hidden_layers=1)
        for width in (options.width, 2 * options.width)
    )
    return build_loss("relations", {"num_relation_heads": options.heads}).build(student, teacher)


def relate(states: Tensor, heads: int) -> Tensor:
    """Shape: (..., attention heads, length, head size) to (..., relation heads, length, length)."""
    joined = states.transpose(-3, -2).flatten(-2)
    split = joined.view(*joined.shape[:-1], heads, -1).transpose(-3, -2)
    return split @ split.transpose(-2, -1) / split.shape[-1] ** 0.5


def compare_in_a_loop(seen: Compared, heads: int) -> Tensor:
    total = torch.zeros(())
    assert seen.attention_mask is not None
    for name in RELATED:
        ours, theirs = getattr(seen.student, name)[0], getattr(seen.teacher, name)[0]
        for row, length in enumerate(seen.attention_mask.sum(dim=1).tolist()):
            student, teacher = (
                relate(states[row, :, :length], heads).log_softmax(-1) for states in (ours, theirs)
            )
            total = total + F.kl_div(student, teacher, reduction="sum", log_target=True) / heads
    return total


def compare_at_once(seen: Compared, heads: int) -> Tensor:
    assert seen.attention_mask is not None
    hidden = additive_mask(seen.attention_mask, dtype=torch.float32)
    total = torch.zeros(())
    for name in RELATED:
        student, teacher = (
            (relate(getattr(views, name)[0], heads) + hidden).log_softmax(-1)
            for views in (seen.student, seen.teacher)
        )
        divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
        total = total + (divergence * seen.attention_mask[:, None, :]).sum() / heads
    return total


def compute(way: str, loss: nn.Module, seen: Compared, options: argparse.Namespace) -> float:
    """Computes a loss and its gradient one way; returns the loss."""
    for name in RELATED:
        getattr(seen.student, name)[0].grad = None
    if way == "limbeck":
        total = loss(seen)
    else:
        compare = compare_in_a_loop if way == "loop" else compare_at_once
        total = compare(seen, options.heads)
    total.backward()
    return float(total.detach())


def read_peak() -> float:
    """Returns the most memory that this process had, in MiB; rusage counts the parent's too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def measure_memory(way: str, arguments: list[str]) -> float:
    """Returns by how many MiB the peak of a process of its own rises."""
    command = [sys.executable, __file__, *arguments, "--only", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--width", type=int, default=384, help="the student's; the teacher's twice")
    parser.add_argument("--heads", type=int, default=48)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--only", choices=WAYS, help="print the memory of one way")
    options = parser.parse_args()
    seen, loss = make_seen(options), build(options)
    if options.only is not None:
        before = read_peak()
        compute(options.only, loss, seen, options)
        print(read_peak() - before)
        return
    values = {way: compute(way, loss, seen, options) for way in WAYS}  # and warms up
    for value in values.values():
        assert abs(value - values["limbeck"]) <= 1e-3 * values["limbeck"], values
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.steps):
        for way in WAYS:
            started = time.perf_counter()
            compute(way, loss, seen, options)
            seconds[way].append(time.perf_counter() - started)
    print(
        json.dumps(
            {
                "median_seconds": {way: statistics.median(found) for way, found in seconds.items()},
                "median_ratio_to_limbeck": {
                    way: statistics.median(
                        a / b for a, b in zip(found, seconds["limbeck"], strict=True)
                    )
                    for way, found in seconds.items()
                },
                "peak_mib": {way: measure_memory(way, sys.argv[1:]) for way in WAYS},
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                **{name: value for name, value in vars(options).items() if name != "only"},
            }
        )
    )


if __name__ == "__main__":
    main()
