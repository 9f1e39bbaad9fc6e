"""Runs a LiteRT (TensorFlow Lite) file, as phones do: no torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from limbeck.errors import CheckpointError, require_extra
from limbeck.inference.engines._engine import Outputs
from limbeck.inference.engines._exported import IntArray, choose_outputs, limits_of
from limbeck.inference.engines._files import Exported
from limbeck.inference.engines._quiet import quiet_stderr
from limbeck.inference.engines._rows import PartsEngine

_SIGNATURE = "tokens_"
"""How the signature for a length begins; the length follows."""


class LitertEngine(PartsEngine):
    """A model in a LiteRT file, which has a graph for each of some lengths.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto` or `cpu`.
        num_threads: Threads of the CPU; by default as many as LiteRT takes, which is one.
    """

    packages = ("ai_edge_litert.interpreter",)
    extra = "litert"
    target = "litert"

    def open(self, exported: Exported, *, num_threads: int | None) -> None:
        """Opens the file; see `ExportedEngine.open`."""
        self._file = _open(exported, num_threads=num_threads)
        signatures = self._file.get_signature_list()
        lengths = {name: name.removeprefix(_SIGNATURE) for name in signatures}
        if not lengths or not all(length.isdecimal() for length in lengths.values()):
            raise CheckpointError(
                f"{exported.file} has the signatures {', '.join(signatures) or 'none'}; accepted: "
                f"{_SIGNATURE}32 and others for other lengths, as limbeck export writes them"
            )
        self.token_buckets = tuple(sorted(map(int, lengths.values())))
        names = next(iter(signatures.values()))
        known = exported.info.inputs if exported.info else ()
        self.limits = limits_of(exported, known)
        self.outputs = choose_outputs(tuple(names["outputs"]), exported, vectors=self.gives_vectors)
        self._runners: dict[int, Any] = {}
        self.rows_at_a_time = 1

    def compute_part(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs one row with the graph for its length."""
        length = inputs["input_ids"].shape[-1]
        given = {name: array.astype(np.int32) for name, array in inputs.items()}
        if length in self._runners:
            found = self._runners[length](**given)
        else:  # each keeps memory of its own, which it takes with its first row
            runner = self._file.get_signature_runner(f"{_SIGNATURE}{length}")
            with quiet_stderr():  # it tells that it has a kernel library
                found = runner(**given)
            self._runners[length] = runner
        return {
            ours: np.array(found[theirs], dtype=np.float32) for theirs, ours in self.outputs.items()
        }


def _open(exported: Exported, *, num_threads: int | None) -> Any:
    runtime = require_extra(
        "ai_edge_litert.interpreter", extra="litert", purpose="the engine litert"
    )
    try:
        return runtime.Interpreter(model_path=str(exported.file), num_threads=num_threads)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{exported.file} can't be opened by LiteRT: {reason}. Export the model again"
        ) from error


EngineType = LitertEngine
