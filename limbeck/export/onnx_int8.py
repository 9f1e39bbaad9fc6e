"""ONNX with int8 weights, whose activations are brought to int8 as they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from limbeck.export import _onnx, _onnx_int8, _onnx_smooth
from limbeck.export._graph import Graph
from limbeck.export._narrowing import Role
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

FILE = "onnx/model_quantized.onnx"
"""As `transformers.js` and `optimum` call it."""


class OnnxInt8Target(Target):
    """A quarter of the size, and about twice as fast on a CPU.

    Texts show which inputs of products have outliers; without any, these stay where they are.
    """

    engine = "onnxruntime"
    precision = "int8"
    method: ClassVar[str | None] = "int8"
    packages = _onnx.PACKAGES
    extra = "onnx"
    needs_calibration = True
    does_without_texts = True
    tolerance = 0.5

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        """Returns a weight as the file holds it."""
        return _onnx_int8.narrow(weight, role)

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `onnx/model_quantized.onnx`."""
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic

        model = _onnx.trace(graph)
        kept = _onnx.nodes_of(model, graph, keep_float)
        begin_step(f"looking for outliers in {len(calibration)} batches")
        peaks = _onnx_smooth.measure_peaks(graph, calibration)
        strength = _onnx_smooth.choose_strength(graph, peaks, calibration)
        _onnx_smooth.smooth(model, peaks, strength, exclude=kept)
        _onnx_int8.turn_tables(model, exclude=kept)
        _onnx_int8.quantize_tables(model, exclude=kept)
        begin_step("quantising")
        _onnx.forget_notes(model)
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with _onnx_int8.quiet_quantizer():
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=list(_onnx_int8.MATRICES),
                per_channel=True,
                reduce_range=_onnx_int8.REDUCE_RANGE,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=kept,
                extra_options={"DefaultTensorType": TensorProto.FLOAT},
            )
        return Written(
            files=(FILE,),
            made_with=_onnx.versions(),
            options=_onnx_int8.describe(
                keep_float,
                activations="unsigned int8, one scale a tensor, found at each call",
                outliers=_onnx_smooth.describe(strength),
            ),
        )


TargetType = OnnxInt8Target
