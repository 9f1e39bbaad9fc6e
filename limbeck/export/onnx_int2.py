"""ONNX with weights of three values in two bits each: for models that were trained with these."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from limbeck.export import _ternary
from limbeck.export._blocks import Blocks
from limbeck.export._target import Calibration
from limbeck.export.onnx_int4 import OnnxInt4Target


class OnnxInt2Target(OnnxInt4Target):
    """The smallest file; next to nothing is left of a model that was not trained for it.

    `limbeck finetune ... quantise.weights=2` trains one. Sources are those of `_ternary`.
    """

    precision = "int2"
    method = None
    trained_bits = 2
    bits = 2
    size = _ternary.SIZE
    # As of four bits, the largest of thousands, in models that were never trained for it.
    tolerance = 5.0
    file = "onnx/model_q2.onnx"

    def to_blocks(self, weight: Tensor) -> Blocks:
        """Returns a weight in whole numbers."""
        return _ternary.ternarise(weight)

    def describe(self, calibration: Calibration) -> dict[str, Any]:  # noqa: ARG002
        """Returns how weights were rounded, for card and record."""
        return {"rounding": "each weight to 0 or to one size, which a block has in common"}


TargetType = OnnxInt2Target
