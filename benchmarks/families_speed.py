"""Forward passes of every family, ours and those of `transformers`, with its default sizes.

    python benchmarks/families_speed.py --out families.jsonl

64 rows of 128 tokens, every second one with a quarter of padding; bf16 on a GPU, random weights.
Ours and theirs in turns, medians; one JSON object a family.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from limbeck import listing
from limbeck.models import KINDS, find_architecture, find_class

ROUNDS, CALLS = 5, 8
ROWS, LENGTH = 64, 128


def seconds(run: Callable[[], Any], device: str) -> float:
    """Returns how long a call takes, after one that does not count."""
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(CALLS):
        run()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / CALLS


def measure(family: str, *, device: str, rows: int, layers: int | None) -> dict[str, Any]:
    """Measures one family's bare encoder."""
    architecture = find_architecture(family)
    config = architecture.config_type()
    if layers is not None:
        config = config.replace(num_hidden_layers=layers)
    values = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    their_config = getattr(transformers, type(config).__name__)(**values)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    ours = find_class(family, KINDS[0])(config).eval().to(device, dtype)
    their_class = getattr(transformers, architecture.class_name(KINDS[0]))
    theirs = their_class(their_config).eval().to(device, dtype)
    ids = torch.randint(5, 1000, (rows, LENGTH), device=device)
    mask = torch.ones_like(ids)
    mask[::2, 3 * LENGTH // 4 :] = 0
    times: list[tuple[float, float]] = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            mine = seconds(lambda: ours(ids, mask), device)
            times.append((mine, seconds(lambda: theirs(ids, attention_mask=mask), device)))
    return {
        "family": family,
        "parameters": ours.num_parameters,
        "their_attention": their_config._attn_implementation,
        "milliseconds": 1000 * statistics.median(mine for mine, _ in times),
        "times_as_fast": statistics.median(other / mine for mine, other in times),
    }


def main() -> None:
    """Measures the families."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="gets a JSON object a line")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of a batch")
    parser.add_argument("--layers", type=int, help="in place of the families' own depths")
    parser.add_argument("families", nargs="*", help="by default all")
    options = parser.parse_args()
    with options.out.open("a", encoding="utf-8") as out:
        for family in options.families or listing.list_names("limbeck.models"):
            found = measure(family, device=options.device, rows=options.rows, layers=options.layers)
            print(json.dumps(found), file=out, flush=True)
            print(found, flush=True)


if __name__ == "__main__":
    main()
