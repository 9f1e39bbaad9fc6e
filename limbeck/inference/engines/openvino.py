"""Runs a model with OpenVINO: no torch is needed."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from limbeck.errors import CheckpointError, SettingsError, shorten
from limbeck.inference.engines._engine import Outputs
from limbeck.inference.engines._exported import (
    ExportedEngine,
    IntArray,
    choose_outputs,
    limits_of,
)
from limbeck.inference.engines._files import Exported

_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
_PLACES: Final = re.compile(r"Exception from \S+: ?")  # in its own source
_NARROW: Final = "bf16"
_TYPES: Final = {"i64": np.int64, "i32": np.int32}


class OpenVinoEngine(ExportedEngine):
    """A model in OpenVINO's form, ours or another library's.

    It is run in fp32 where its weights are: left to itself OpenVINO takes bf16 on CPUs that have
    it, and answers differ in the third digit. With precision `bf16` they may.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto` or `cpu`.
        num_threads: Threads of the CPU; by default as many as there are cores.
    """

    files = {  # noqa: RUF012 - a constant
        "openvino/openvino_model.xml": "fp32",
        "openvino_model.xml": "fp32",
        "openvino/openvino_model_qint8_quantized.xml": "int8",
        "openvino_model_qint8_quantized.xml": "int8",
    }
    computes = {_NARROW: "fp32"}  # noqa: RUF012 - a constant
    packages = ("openvino",)
    extra = "openvino"
    target = "openvino"

    def open(self, exported: Exported, *, num_threads: int | None) -> None:
        """Opens the file; see `ExportedEngine.open`."""
        network = _open(exported, num_threads=num_threads)
        given = {
            port.get_any_name(): port.get_element_type().to_string() for port in network.inputs
        }
        names = tuple(name for name in _INPUTS if name in given)
        if (
            "input_ids" not in given
            or len(names) < len(given)
            or not {*given.values()} <= {*_TYPES}
        ):
            shown = ", ".join(f"{name} {kind}" for name, kind in given.items())
            raise CheckpointError(
                f"{exported.file} takes {shown}; accepted: whole numbers as {', '.join(_INPUTS)}, "
                "the last two or the last left out. Export the model as an encoder, without what "
                "generates text"
            )
        self._types = {name: _TYPES[given[name]] for name in names}
        self.limits = limits_of(exported, names)
        outputs = tuple(name for port in network.outputs for name in port.get_names())
        self.outputs = choose_outputs(outputs, exported, vectors=self.gives_vectors)
        self._request = network.create_infer_request()

    def compute_arrays(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs the file."""
        given = {
            name: array.astype(self._types[name], copy=False) for name, array in inputs.items()
        }
        with self._lock:
            self._request.infer(given, share_inputs=True)
            # Copied, since the next call writes into the same memory.
            return {
                name: np.array(self._request.get_tensor(found).data, dtype=np.float32)
                for found, name in self.outputs.items()
            }


def _open(exported: Exported, *, num_threads: int | None) -> Any:
    openvino = importlib.import_module("openvino")
    core = share_core()
    if is_narrow := exported.precision == _NARROW:
        require_narrow(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if is_narrow else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if num_threads is not None:
        settings["INFERENCE_NUM_THREADS"] = num_threads
    try:
        _require_xml(exported.file)
        return core.compile_model(str(exported.file), "CPU", settings)
    except (RuntimeError, OSError, ValueError) as error:
        reason = " ".join(_PLACES.sub("", str(error)).split())
        raise CheckpointError(
            f"{exported.file} can't be opened by OpenVINO {openvino.__version__}: "
            f"{shorten(reason, length=300, quoted=False)}. Export the model again, or take both "
            "files, .xml and .bin, from where they came"
        ) from error


@functools.cache
def share_core() -> Any:
    """OpenVINO's `Core`, one for as long as the process lives.

    Its CPU plugin gives the thread another stack for signals and, when it goes, the one that it
    found. Of two that overlap the last leaves the stack of the first, which is freed by then, and
    the next Ctrl-C ends the process with a segmentation fault (OpenVINO 2026.4).
    """
    return importlib.import_module("openvino").Core()


def require_narrow(capabilities: Iterable[str]) -> None:
    """Refuses bf16 on a CPU that has no instructions for it.

    Args:
        capabilities: What OpenVINO says that the CPU computes in, such as `FP32`, `BF16`, `INT8`.

    Raises:
        SettingsError: If bf16 is not among them.
    """
    known = [name.lower() for name in capabilities if name.startswith(("FP", "BF", "INT"))]
    if _NARROW not in known:
        raise SettingsError(
            f"precision = '{_NARROW}': this CPU has neither AVX512-BF16 nor AMX, and OpenVINO "
            f"computes on it in {', '.join(known)}; accepted: fp32, or none for what the file has"
        )


def _require_xml(file: Path) -> None:
    """Refuses what OpenVINO would try to read in each of its other formats, and tell of each."""
    with file.open("rb") as stream:
        if not stream.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
            raise ValueError("it is no XML")


EngineType = OpenVinoEngine
