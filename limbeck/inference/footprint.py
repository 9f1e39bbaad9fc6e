"""What a model takes of disk and memory, the latter in a process of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import LimbeckError
from limbeck.inference.engines import fetch_folder

_WEIGHTS = ("*.safetensors", "**/*.onnx", "**/*.onnx_data", "**/*.bin", "**/*.tflite", "**/*.pte")
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a model takes.

    Attributes:
        file_bytes: Size of the files that its engine reads.
        loaded_bytes: By how much the process grew when the model was loaded and had answered a
            short row, without which what is mapped would not have been read; None where the system
            does not tell.
        peak_bytes: Most memory that the process had at a time, a batch of 8 rows of 128 tokens,
            Python and all libraries included; None where the system does not tell.
    """

    file_bytes: int
    loaded_bytes: int | None = None
    peak_bytes: int | None = None


def measure_footprint(model: str | Path, **arguments: Any) -> Footprint:
    """Loads a model in a new process, has it answer a batch, and returns what that took.

    Args:
        model: A model folder, or a Hub id.
        arguments: Those of `load_engine`: `name`, `precision`, `num_threads`, `device`.

    Raises:
        LimbeckError: If the model can't be loaded; with the new process's own words.
    """
    engine, precision = arguments.get("name"), arguments.get("precision")
    folder = fetch_folder(model, engine, precision=precision)
    asked = json.dumps({"model": str(folder), **arguments})
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            # -P: what lies in the working folder is not imported in place of libraries.
            [sys.executable, "-P", "-m", __name__, asked],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LimbeckError(
            f"{folder} took more than {_SECONDS} s to load, so that its memory was not measured; "
            "leave it out with --no-memory (with_memory=False)"
        ) from None
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise LimbeckError(f"{folder} could not be loaded to measure its memory: {last}")
    return Footprint(file_bytes=count_bytes(folder), **json.loads(done.stdout))


def count_bytes(folder: Path) -> int:
    """Returns the size of a model's weights: what its export wrote, else all files of weights."""
    if ExportInfo.exists(folder):
        return sum((folder / name).stat().st_size for name in ExportInfo.read(folder).files)
    files = {path for pattern in _WEIGHTS for path in folder.glob(pattern)}
    return sum(path.stat().st_size for path in files)


def _answer(model: str, **arguments: Any) -> dict[str, int | None]:
    """Loads a model and has it answer a short row, then a batch, or as much as it takes."""
    import numpy as np

    from limbeck.inference.engines import choose_engine, find_engine

    name = arguments.pop("name", None) or choose_engine(Path(model))
    engine_type = find_engine(name)
    for package in engine_type.packages:  # libraries count as the process's, not as the model's
        with suppress(ImportError):  # loading says what is missing, and how to install it
            importlib.import_module(package)
    before = _read_memory("VmRSS")
    engine = engine_type.load(Path(model), **arguments)

    def answer(rows: int, tokens: int) -> None:
        rows = min(rows, engine.limits.max_rows or rows)
        tokens = min(tokens, engine.limits.max_tokens or tokens)
        shape = (rows, 2, tokens) if engine.kind.has_choices else (rows, tokens)
        names = [n for n in ("input_ids", "attention_mask") if n in engine.limits.inputs]
        engine.run({name: np.ones(shape, dtype=np.int64) for name in names})

    answer(rows=1, tokens=8)
    after = _read_memory("VmRSS")
    answer(rows=8, tokens=128)
    peak = _read_memory("VmHWM")
    grown = None if before is None or after is None else after - before
    return {"loaded_bytes": grown, "peak_bytes": peak}


def _read_memory(name: str) -> int | None:
    """Returns one of Linux's figures of this process, in bytes; None elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(**json.loads(sys.argv[1]))))
