"""Texts a second and milliseconds a text on a CPU: ours beside what people use, in turns.

    python benchmarks/inference/measure.py --data DATA --tokenizer MODEL --out inference.jsonl

Every contestant runs the whole workload before the next one does, in rounds whose order rotates;
medians count, and ratios within rounds. Tokenisation is included everywhere. Latency is that of
single texts. Models have random weights, on which speed does not depend. One JSON object a line.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ours
import peers
import torch
from shapes import SHAPES, make_model
from workloads import read_workload

COUNTS = {"sst2": 96, "imdb": 24, "squad": 24, "mixed": 36}
PAUSE_SECONDS = 0.05
"""Before a single text: threads of the contestant before turn for a while, and take a core."""
LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino", "ctranslate2", "tokenizers")


def measure(
    runs: dict[str, peers.Run], texts: list[Any], *, rounds: int, num_single: int
) -> Iterator[dict[str, Any]]:
    """Yields each contestant's figures."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    single: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(texts[:4])
    for number in range(rounds):
        names = list(runs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            runs[name](texts)
            seconds[name].append(time.perf_counter() - start)
    takes_one = [name for name in runs if "batch" not in name or name.endswith("batch 1")]
    for text in texts[:num_single] * rounds:  # some runtimes prepare for each length once
        for name in takes_one:
            time.sleep(PAUSE_SECONDS)
            start = time.perf_counter()
            runs[name]([text])
            single[name].append(time.perf_counter() - start)
    for name in runs:
        yield {
            "contestant": name,
            "texts_per_second": len(texts) / statistics.median(seconds[name]),
            "seconds": [round(value, 4) for value in seconds[name]],
            "latency_ms": 1000 * statistics.median(single[name]) if single[name] else None,
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True, help="folder of an uncased English model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/inference"))
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument("--workloads", nargs="+", default=list(COUNTS))
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="contestants whose name holds this")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    machine = {"date": time.strftime("%Y-%m-%d"), "machine": platform.processor()}
    machine |= {name: version(name) for name in LIBRARIES}
    for shape in options.shapes:
        for workload in options.workloads:
            use, texts = read_workload(workload, options.data, count=COUNTS[workload])
            folder = make_model(shape, use, tokenizer=options.tokenizer, folder=options.work)
            for threads in options.threads:
                torch.set_num_threads(threads)
                found = (*ours.find_ours(folder, use, threads=threads, work=options.work),)
                found += (*peers.find_peers(folder, use, threads=threads, work=options.work),)
                runs = {name: run for name, run in found if (options.only or "") in name}
                for line in measure(runs, texts, rounds=options.rounds, num_single=12):
                    line = {"shape": shape, "workload": workload, "threads": threads} | line
                    print(
                        f"{shape:16} {workload:6} {threads} {line['contestant']:42} "
                        f"{line['texts_per_second']:8.1f}/s  {line['latency_ms'] or 0:7.1f} ms",
                        flush=True,
                    )
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line | machine) + "\n")
                del runs, found
                gc.collect()


if __name__ == "__main__":
    main()
