"""Runs an ONNX file with ONNX Runtime: no torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from limbeck.errors import CheckpointError, require_extra
from limbeck.inference.engines._engine import Outputs
from limbeck.inference.engines._exported import (
    Exported,
    ExportedEngine,
    IntArray,
    check_device,
    choose_outputs,
    limits_of,
)

_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
_TYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_ERRORS_ONLY: Final = 3


class OnnxRuntimeEngine(ExportedEngine):
    """A model in an ONNX file, ours or another library's.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto` or `cpu`; `cuda` where ONNX Runtime was built for it.
        num_threads: Threads of the CPU; by default as many as there are cores.
    """

    files = {  # noqa: RUF012 - a constant
        "onnx/model.onnx": "fp32",
        "model.onnx": "fp32",
        "onnx/model_optimized.onnx": "fp32",
        "model_optimized.onnx": "fp32",
        "onnx/model_fp16.onnx": "fp16",
        "model_fp16.onnx": "fp16",
        "onnx/model_quantized.onnx": "int8",
        "model_quantized.onnx": "int8",
        "onnx/model_int8.onnx": "int8",
        "onnx/model_uint8.onnx": "int8",
        "onnx/model_quint8_avx2.onnx": "int8",
        "onnx/model_qint8_avx512.onnx": "int8",
        "onnx/model_qint8_avx512_vnni.onnx": "int8",
        "onnx/model_qint8_arm64.onnx": "int8",
        "onnx/model_q4.onnx": "int4",
    }
    packages = ("onnxruntime",)
    extra = "onnx"

    def __init__(
        self,
        exported: Exported,
        *,
        vectors: bool = False,
        device: str = "auto",
        num_threads: int | None = None,
    ) -> None:
        self._session = _open(exported, device=device, num_threads=num_threads)
        self.facts, self.precision = exported.facts, exported.precision
        self.device = check_device(device)
        given = {one.name: one.type for one in self._session.get_inputs()}
        names = tuple(name for name in _INPUTS if name in given)
        if (
            "input_ids" not in given
            or len(names) < len(given)
            or not set(given.values()) <= {*_TYPES}
        ):
            shown = ", ".join(f"{name} {kind}" for name, kind in given.items())
            raise CheckpointError(
                f"{exported.file} takes {shown}; accepted: whole numbers as {', '.join(_INPUTS)}, "
                "the last two or the last left out. Export the model as an encoder, without what "
                "generates text"
            )
        self._types = {name: _TYPES[given[name]] for name in names}
        self.limits = limits_of(exported, names)
        self.gives_vectors = vectors
        outputs = tuple(one.name for one in self._session.get_outputs())
        self._outputs = choose_outputs(outputs, exported, vectors=vectors)

    def compute_arrays(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs the file."""
        given = {
            name: array.astype(self._types[name], copy=False) for name, array in inputs.items()
        }
        found = self._session.run(list(self._outputs), given)
        named = zip(self._outputs.values(), found, strict=True)
        return {name: np.asarray(array, dtype=np.float32) for name, array in named}


def _open(exported: Exported, *, device: str, num_threads: int | None) -> Any:
    runtime = require_extra("onnxruntime", extra="onnx", purpose="the engine onnxruntime")
    check_device(device)
    options = runtime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.inter_op_num_threads = 1  # encoders are one chain of steps
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    try:
        return runtime.InferenceSession(
            str(exported.file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's own errors have no common base but this
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{exported.file} can't be opened by ONNX Runtime {runtime.__version__}: {reason}. "
            "Export the model again, or take the file from where it came"
        ) from error


EngineType = OnnxRuntimeEngine
