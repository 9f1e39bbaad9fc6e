"""Runs an ONNX file with ONNX Runtime: no torch is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from limbeck.checkpoints import CONFIG_NAME
from limbeck.checkpoints.onnx_files import (
    OnnxOutline,
    outline_onnx,
    require_own_files,
    smallest_model,
)
from limbeck.checkpoints.onnx_mapping import point_into_file
from limbeck.cores import count_usable_cores
from limbeck.errors import CheckpointError, require_extra, shorten
from limbeck.inference.engines._engine import Outputs
from limbeck.inference.engines._exported import (
    ExportedEngine,
    IntArray,
    choose_outputs,
    limits_of,
)
from limbeck.inference.engines._files import Exported
from limbeck.inference.engines._memory import give_back_memory

_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
_TYPES: Final[dict[str, type]] = {"int64": np.int64, "int32": np.int32}
_FATAL_ONLY: Final = 4
_DATA_FOLDER: Final = "session.model_external_initializers_file_folder_path"
_OLDEST_OPSET: Final = 13
"""That every version of the runtime takes which the extra installs."""
_HIGHEST: Final = 100
"""Above all versions of the format and of the operators for years to come."""


class OnnxRuntimeEngine(ExportedEngine):
    """A model in an ONNX file, ours or another library's.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto` or `cpu`.
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
        "onnx/model_q2.onnx": "int2",
    }
    packages = ("onnxruntime",)
    extra = "onnx"
    target = "onnx"

    def open(self, exported: Exported, *, num_threads: int | None) -> None:
        """Opens the file; see `ExportedEngine.open`."""
        outline = outline_onnx(exported.file)
        require_own_files(exported.file, outline)
        self._types = _read_inputs(exported, outline)
        self.outputs = choose_outputs(tuple(outline.outputs), exported, vectors=self.gives_vectors)
        _require_sizes(exported, outline, outputs=self.outputs)
        self._session = _open(exported, outline, num_threads=num_threads)
        rows, *_, tokens = outline.inputs["input_ids"].shape or (None, None)
        self.fixed_rows = rows if isinstance(rows, int) else None
        self.token_buckets = (tokens,) if isinstance(tokens, int) else None
        self.limits = limits_of(
            exported, tuple(self._types), buckets=self.token_buckets, max_rows=self.fixed_rows
        )

    def compute_arrays(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs the file."""
        typed: dict[str, npt.NDArray[Any]] = {
            name: array.astype(self._types[name], copy=False) for name, array in inputs.items()
        }
        found = self._session.run(list(self.outputs), typed)
        named = zip(self.outputs.values(), found, strict=True)
        return {name: np.asarray(array, dtype=np.float32) for name, array in named}


def _read_inputs(exported: Exported, outline: OnnxOutline) -> dict[str, type]:
    """Returns the type of each input, in our order."""
    given = {name: tensor.dtype for name, tensor in outline.inputs.items()}
    known = [name for name in _INPUTS if given.get(name) in _TYPES]
    if "input_ids" not in known or len(known) < len(given):
        shown = ", ".join(f"{name} ({dtype})" for name, dtype in given.items())
        raise CheckpointError(
            f"{exported.file} takes {shown}; accepted: {' or '.join(_TYPES)} as input_ids, and of "
            f"{', '.join(_INPUTS[1:])} what there is. Export the model as an encoder of texts, "
            "without what generates them"
        )
    return {name: _TYPES[given[name]] for name in known}


def _require_sizes(exported: Exported, outline: OnnxOutline, *, outputs: Mapping[str, str]) -> None:
    """Refuses a file that is of another model than the `config.json` beside it."""
    facts = exported.facts
    wrong = None
    if outline.num_words is not None and outline.num_words < facts.vocab_size:
        wrong = f"embeds {outline.num_words:,} pieces", f"vocab_size {facts.vocab_size:,}"
    (name, *_) = outputs
    shape = outline.outputs[name].shape
    last = shape[-1] if shape else None
    names_labels = facts.kind.name in ("sequence_classification", "token_classification")
    if names_labels and isinstance(last, int) and last != facts.num_labels:
        wrong = f"gives {last:,} scores", f"{facts.num_labels:,} labels"
    if wrong is not None:
        raise CheckpointError(
            f"{exported.file} {wrong[0]}, but {exported.folder / CONFIG_NAME} says {wrong[1]}: one "
            "of them is another model's. Copy the folder again from where it came, or export the "
            "model again"
        )


def _open(exported: Exported, outline: OnnxOutline, *, num_threads: int | None) -> Any:
    runtime = require_extra("onnxruntime", extra="onnx", purpose="the engine onnxruntime")
    _require_versions(runtime, exported, outline)
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY  # errors are raised
    options.inter_op_num_threads = 1  # encoders are one chain of steps
    # Left to itself it counts the machine's cores, not those that this process may use, and binds
    # each thread to one of them, where the tokenizer's may be at work.
    options.intra_op_num_threads = num_threads or count_usable_cores()
    source: str | bytes = str(exported.file)
    file = exported.file.resolve()  # in the Hub's cache a link
    pointed = None if outline.external_files else point_into_file(file)
    if pointed is not None:
        source = pointed
        options.add_session_config_entry(_DATA_FOLDER, str(file.parent))
    try:
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors have no common base but this
        raise CheckpointError(
            f"{exported.file} can't be opened by ONNX Runtime {runtime.__version__}: "
            f"{shorten(str(error), length=300, quoted=False)}. Export the model again, or take the "
            "file from where it came"
        ) from error
    give_back_memory()
    return session


def _require_versions(runtime: Any, exported: Exported, outline: OnnxOutline) -> None:
    """Refuses a file that the runtime is too old for, by asking it with a file of one step."""
    opset = outline.opsets.get("", 1)
    if _takes(runtime, outline.ir_version, opset):
        return
    if not _takes(runtime, outline.ir_version, _OLDEST_OPSET):
        asked = f"version {outline.ir_version} of the format"
        newest = _find_newest(outline.ir_version, lambda v: _takes(runtime, v, _OLDEST_OPSET))
    else:
        asked = f"opset {opset}"
        newest = _find_newest(opset, lambda v: _takes(runtime, outline.ir_version, v))
    if newest is None:
        raise CheckpointError(
            f"{exported.file} asks for {asked}, which there is not: it is damaged; export the "
            "model again, or take the file from where it came"
        )
    raise CheckpointError(
        f"{exported.file} asks for {asked}, but ONNX Runtime {runtime.__version__} takes up to "
        f"{newest}. Accepted: a newer one, pip install -U onnxruntime, or the model exported anew"
    )


def _find_newest(asked: int, takes: Callable[[int], bool]) -> int | None:
    """Returns the newest version below one that is asked for that a runtime takes; None for none.

    What is asked for is a number of the file's, which may be any of 64 bits.
    """
    return next(
        (version for version in range(min(asked, _HIGHEST) - 1, 0, -1) if takes(version)), None
    )


def _takes(runtime: Any, ir_version: int, opset: int) -> bool:
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    try:
        runtime.InferenceSession(
            smallest_model(ir_version, {"": opset}), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # the runtime's own errors have no common base but this
        return False
    return True


EngineType = OnnxRuntimeEngine
