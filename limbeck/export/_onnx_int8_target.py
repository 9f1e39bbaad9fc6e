"""What `onnx-int8` and `onnx-int8-static` do before they quantise."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor

from limbeck.export import _onnx, _onnx_int8, _onnx_smooth
from limbeck.export._graph import Graph
from limbeck.export._narrowing import Role
from limbeck.export._onnx_smooth import Smoothing
from limbeck.export._target import Calibration, Target

if TYPE_CHECKING:
    from onnx import ModelProto


class OnnxInt8Base(Target):
    """Weights in int8 whose matrices were given the outliers of what they are multiplied by."""

    engine = "onnxruntime"
    precision = "int8"
    packages = _onnx.PACKAGES
    extra = "onnx"
    needs_calibration = True
    smoothing: Smoothing | None = None
    """How outliers are moved, once that was found."""

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        """Returns a weight as the file holds it."""
        return _onnx_int8.narrow(weight, role)

    def fit_to(
        self, graph: Graph, calibration: Calibration, *, keep_float: Sequence[str] = ()
    ) -> Self:
        """Returns the target with how outliers are moved."""
        other = copy.copy(self)
        other.smoothing = Smoothing.find(graph, calibration, keep_float=keep_float)
        return other

    def prepare(
        self, graph: Graph, calibration: Calibration, keep_float: Sequence[str]
    ) -> tuple[ModelProto, list[str], Smoothing]:
        """Traces a model, moves its outliers and brings its tables to int8.

        Returns:
            What is left to quantise, the names of nodes in it that stay in float, and how outliers
            were moved.
        """
        smoothing = self.smoothing or Smoothing.find(graph, calibration, keep_float=keep_float)
        model = _onnx.trace(graph)
        kept = _onnx.nodes_of(model, graph, keep_float)
        _onnx_smooth.smooth(model, smoothing, exclude=kept)
        _onnx_int8.turn_tables(model, exclude=kept)
        _onnx_int8.quantize_tables(model, exclude=kept)
        _onnx.forget_notes(model)
        return model, kept, smoothing
