"""ONNX with int4 weights: the smallest file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from limbeck.export import _onnx, _onnx_int8
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

FILE = "onnx/model_q4.onnx"
"""As `transformers.js` calls it."""
# Each 32 weights have a scale and a zero point; without zero points the cosine to fp32 falls from
# 0.973 to 0.969 on MiniLM, for 1 % of the file. Level 4 multiplies bytes, at 0.9 of the time.
BLOCK_SIZE: Final = 32
ACCURACY_LEVEL: Final = 4


class OnnxInt4Target(Target):
    """Smaller than int8, less accurate and slower: for where the size of the file decides."""

    engine = "onnxruntime"
    precision = "int4"
    packages = _onnx.PACKAGES
    extra = "onnx"
    # Of the largest of thousands of numbers, in tiny models with random weights drawn wide: up to
    # 1.74 there. It tells a wrong conversion (5 and more) from noise, not a good model from a bad.
    tolerance = 2.0

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `onnx/model_q4.onnx`."""
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        model = _onnx.trace(graph)
        kept = _onnx.nodes_of(model, graph, keep_float)
        _onnx_int8.turn_tables(model, exclude=kept)
        _onnx_int8.quantize_tables(model, exclude=kept)
        begin_step("quantising")
        quantizer = MatMulNBitsQuantizer(
            model,
            bits=4,
            block_size=BLOCK_SIZE,
            is_symmetric=False,
            accuracy_level=ACCURACY_LEVEL,
            nodes_to_exclude=kept,
        )
        with quiet("onnxruntime.quantization.matmul_nbits_quantizer"):
            quantizer.process()
        _onnx.save(quantizer.model.model, folder / FILE)
        return Written(
            files=(FILE,),
            made_with=_onnx.versions(),
            options={
                "weights": f"int4, a scale and a zero point for each {BLOCK_SIZE}",
                "embeddings": "int8, one scale for each row",
                "activations": "int8 within each product",
                "kept_in_float": list(keep_float),
            },
        )


TargetType = OnnxInt4Target
