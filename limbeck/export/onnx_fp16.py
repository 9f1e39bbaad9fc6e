"""ONNX in fp16: half the size; the inputs and outputs stay as they are in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.export import _onnx
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written
from limbeck.models import SentenceModel

FILE = "onnx/model_fp16.onnx"


class OnnxFp16Target(Target):
    """For GPUs and browsers; on most CPUs it runs in fp32, and is only smaller."""

    engine = "onnxruntime"
    precision = "fp16"
    packages = _onnx.PACKAGES
    extra = "onnx"
    tolerance = 0.02

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `onnx/model_fp16.onnx`."""
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = _onnx.trace(graph)
        # A text's vector is a sum over its tokens, and in torch fp32 too where the layers are not.
        above = ("head",) if isinstance(graph.model, SentenceModel) else ()
        kept = _onnx.nodes_of(model, graph, (*keep_float, *above))
        begin_step("narrowing to fp16")
        with quiet():
            model = convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
        _onnx.save(model, folder / FILE)
        return Written(
            files=(FILE,),
            made_with=_onnx.versions(),
            options={"inputs_and_outputs": "int64 and fp32", "kept_in_float": list(keep_float)},
        )


TargetType = OnnxFp16Target
