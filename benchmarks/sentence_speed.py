"""Vectors of texts a second: `SentenceEncoder.encode` and that of sentence-transformers.

    python benchmarks/sentence_speed.py MODEL --texts data/stsb/test.jsonl --out sentences.jsonl

The same folder, device, batch size and texts (every text in the rows of the file), in float32.
Ours and theirs in turns, after one call each that does not count; medians, and of the ratios within
rounds the median, lowest and highest. The largest difference of vectors stands beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch

import limbeck


def read_texts(path: Path, *, most: int) -> list[str]:
    """Returns the texts of a file of JSON lines, row by row."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [text for row in rows for text in row.values() if isinstance(text, str)][:most]


def seconds(run: Callable[[], Any]) -> float:
    """Returns how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(
    model: str, texts: list[str], *, device: str, batch_size: int, rounds: int
) -> dict[str, Any]:
    """Measures both libraries on the same texts."""
    ours = limbeck.SentenceEncoder(model, device=device)
    theirs = sentence_transformers.SentenceTransformer(model, device=device)
    first, second = (
        encoder.encode(texts, batch_size=batch_size, show_progress_bar=False)
        for encoder in (ours, theirs)
    )
    times = [
        tuple(
            seconds(
                lambda encoder=encoder: encoder.encode(
                    texts, batch_size=batch_size, show_progress_bar=False
                )
            )
            for encoder in (ours, theirs)
        )
        for _ in range(rounds)
    ]
    ratios = [other / mine for mine, other in times]
    return {
        "model": Path(model).name,
        "device": device,
        "batch_size": batch_size,
        "num_texts": len(texts),
        "texts_per_second": len(texts) / statistics.median(mine for mine, _ in times),
        "their_texts_per_second": len(texts) / statistics.median(other for _, other in times),
        "times_as_fast": statistics.median(ratios),
        "times_as_fast_range": [min(ratios), max(ratios)],
        "largest_difference": float(np.abs(first - second).max()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "sentence_transformers": sentence_transformers.__version__,
    }


def main() -> None:
    """Measures the batch sizes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a model folder or Hub id")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines")
    parser.add_argument("--out", type=Path, required=True, help="gets a JSON object a line")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--most", type=int, default=2000, help="texts")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    texts = read_texts(options.texts, most=options.most)
    with options.out.open("a", encoding="utf-8") as out:
        for batch_size in options.batch_sizes:
            found = measure(
                options.model,
                texts,
                device=options.device,
                batch_size=batch_size,
                rounds=options.rounds,
            )
            print(json.dumps(found), file=out, flush=True)
            print(found, flush=True)


if __name__ == "__main__":
    main()
