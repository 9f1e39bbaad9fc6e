"""Memory and time of a task's training examples as token ids, and the time of a batch of them.

    python benchmarks/prepare_tasks.py DATA runs/data --labelled-only
    python benchmarks/example_memory.py runs/data --tokenizer runs/teacher

Each data set is encoded in a process of its own. What it holds before is the data set as text; the
peak of the resident set is counted from there, and what is left once the encoding is done. Batches
are 32 rows of about 128 tokens. Linux only, whose kernel lets a process set its peak back. Prints
one JSON object a data set. With PYTHONPATH set to another checkout, that one is measured.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TASKS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "squad": ("squad", 384, {}),
    "imdb": ("imdb", 512, {}),
    "imdb, 128 tokens": ("imdb", 128, {}),
    "imdb, windows": ("imdb", 512, {"long_texts": "windows"}),
    "ner": ("ner", 128, {}),
    "qqp": ("qqp", 128, {}),
}
ROWS, LENGTH, BATCHES = 32, 128, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="a folder a task, from prepare_tasks.py")
    parser.add_argument("--tokenizer", required=True, help="folder or Hub id")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--one", choices=TASKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.data, arguments.tokenizer)))
        return
    for name in arguments.only:
        command = [sys.executable, __file__, str(arguments.data), "--one", name]
        subprocess.run([*command, "--tokenizer", arguments.tokenizer], check=True)


def measure(name: str, data: Path, tokenizer: str) -> dict[str, object]:
    from limbeck.tasks import collate, read_task
    from limbeck.tokenizers import AutoTokenizer

    task_name, max_length, options = TASKS[name]
    path = next((data / task_name).glob("train.*"))
    task = read_task(task_name, {"train": str(path)}, options=options)
    pieces = AutoTokenizer.from_pretrained(tokenizer)
    pieces(["warm up"] * 64, truncation=True, max_length=8)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak back
    start = time.process_time()
    encoded = task.encode(task.splits["train"], pieces, max_length=max_length)
    seconds = time.process_time() - start
    peak = resident("VmHWM")
    kept = resident("VmRSS")
    lengths = [len(row.input_ids) for row in encoded]
    num_tokens = sum(lengths)
    # The rows nearest to 128 tokens.
    order = sorted(range(len(lengths)), key=lambda i: abs(lengths[i] - LENGTH))[:ROWS]
    times = []
    for _ in range(BATCHES):
        start = time.perf_counter()
        batch = collate(task, encoded, order, pad_token_id=pieces.pad_token_id)
        times.append(time.perf_counter() - start)
    return {
        "data": name,
        "num_examples": len(task.splits["train"].examples),
        "num_rows": len(encoded),
        "num_tokens": num_tokens,
        "mib_before": round(before / 2**20, 1),
        "mib_at_the_peak": round((peak - before) / 2**20, 1),
        "mib_kept": round((kept - before) / 2**20, 1),
        "bytes_a_token_at_the_peak": round((peak - before) / num_tokens, 1),
        "bytes_a_token_kept": round((kept - before) / num_tokens, 1),
        "processor_seconds": round(seconds, 2),
        "batch": list(batch.input_ids.shape),
        "batch_ms": round(1e3 * statistics.median(times), 3),
    }


def resident(field: str) -> int:
    """Returns the resident set, or its peak, in bytes, what is freed given back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


if __name__ == "__main__":
    main()
