"""Runs an ExecuTorch program, as apps for phones do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import CheckpointError, SettingsError, require_extra
from limbeck.inference.engines._engine import Limits, Outputs
from limbeck.inference.engines._exported import IntArray, choose_outputs
from limbeck.inference.engines._files import Exported
from limbeck.inference.engines._quiet import quiet_stderr
from limbeck.inference.engines._rows import PartsEngine

_METHOD = "forward"
_MARK = b"ET"
"""What a program has from its fifth byte on, then a version. The runtime ends the process where it
finds anything else in a file of this size."""


class ExecutorchEngine(PartsEngine):
    """A model in an ExecuTorch program.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto` or `cpu`.
        num_threads: Can't be set in this runtime, which takes all cores.
    """

    packages = ("executorch",)
    extra = "executorch"
    target = "executorch"
    takes_threads = False

    def open(self, exported: Exported, *, num_threads: int | None) -> None:
        """Opens the file; see `ExportedEngine.open`."""
        if num_threads is not None:
            raise SettingsError(
                f"num_threads = {num_threads}: executorch takes as many as there are cores, and "
                "has no setting for it; leave num_threads out"
            )
        names = exported.info.outputs if exported.info else ()
        self.outputs = choose_outputs(names, exported, vectors=self.gives_vectors)
        self._places = [names.index(name) for name in self.outputs]
        self._names = exported.info.inputs if exported.info else ()
        self._method = _open(exported)
        self.rows_at_a_time, *_, longest = self._method.metadata.input_tensor_meta(0).sizes()
        self.limits = Limits(inputs=self._names, max_tokens=longest)

    def compute_part(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs some rows."""
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in self._names]
        found = self._method.execute(tensors)
        named = zip(self._places, self.outputs.values(), strict=True)
        return {ours: found[place].numpy().copy() for place, ours in named}


def _open(exported: Exported) -> Any:
    with quiet_stderr():  # it tells which of the system's files it looked for
        runtime = require_extra(
            "executorch.runtime", extra="executorch", purpose="the engine executorch"
        )
        # Registers what reads embeddings in int8.
        require_extra(
            "executorch.kernels.quantized", extra="executorch", purpose="the engine executorch"
        )
        program = runtime.Runtime.get().load_program
        try:
            _require_mark(exported.file)
            return program(
                exported.file, verification=runtime.Verification.InternalConsistency
            ).load_method(_METHOD)
        except (RuntimeError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{exported.file} can't be opened by ExecuTorch: {error}. Export the model again"
            ) from error


def _require_mark(file: Path) -> None:
    with file.open("rb") as stream:
        if not stream.read(8)[4:].startswith(_MARK):
            raise ValueError("it is no program of ExecuTorch's")


EngineType = ExecutorchEngine
