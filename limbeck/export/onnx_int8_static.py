"""ONNX with int8 weights, and ranges of activations that were found on the user's own text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import ExportError
from limbeck.export import _onnx, _onnx_int8
from limbeck.export._graph import Graph
from limbeck.export._onnx_int8_target import OnnxInt8Base
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Written

FILE = "onnx/model_int8.onnx"
"""Beside `model_quantized.onnx`, whose activations have no fixed range."""


class OnnxInt8StaticTarget(OnnxInt8Base):
    """For accelerators that want ranges beforehand; on CPUs `onnx-int8` is the more accurate."""

    method = "int8-static"
    tolerance = 1.0

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `onnx/model_int8.onnx`.

        Raises:
            ExportError: If there is no text to find ranges on.
        """
        from onnx import TensorProto
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        if not calibration:
            raise ExportError(
                f"{self.shown_name} finds the ranges of activations on texts, but there are none "
                "(0 batches for calibration); accepted: texts like those that the model will read"
            )
        model, kept, smoothing = self.prepare(graph, calibration, keep_float)
        begin_step(f"taking ranges from {len(calibration)} batches, and quantising")
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        matrices = list(_onnx_int8.MATRICES)
        with _onnx_int8.quiet_quantizer():
            quantize_static(
                model,
                path,
                _Texts(calibration, graph.input_names),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=matrices,
                per_channel=True,
                reduce_range=_onnx_int8.REDUCE_RANGE,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[*kept, *_onnx_int8.without_weights(model)],
                extra_options={
                    "DefaultTensorType": TensorProto.FLOAT,
                    # What products give stays in float: else the cosine to fp32 falls from 0.988
                    # to 0.933 on MiniLM, and the time rises by 8 %.
                    "OpTypesToExcludeOutputQuantization": matrices,
                },
            )
        return Written(
            files=(FILE,),
            made_with=_onnx.versions(),
            options=_onnx_int8.describe(
                keep_float,
                activations=f"unsigned int8, one range a tensor, of {len(calibration)} batches",
                outliers=smoothing.describe(),
            ),
        )


class _Texts:
    """What the quantiser reads batches from."""

    def __init__(self, calibration: Calibration, names: Sequence[str]) -> None:
        self._batches = (
            {name: batch[name].numpy() for name in names if name in batch} for batch in calibration
        )

    def get_next(self) -> dict[str, object] | None:
        """Returns the next batch; None after the last."""
        return next(self._batches, None)


TargetType = OnnxInt8StaticTarget
