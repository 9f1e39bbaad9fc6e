"""ONNX with int4 weights and tables: the smallest file, each number rounded by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from limbeck.export import _onnx, _onnx_int4, _onnx_int8
from limbeck.export._blocks import SIZE, Blocks, round_to_nearest
from limbeck.export._graph import Graph
from limbeck.export._sensitivity import find_role, list_modules
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Role, Target, Written

if TYPE_CHECKING:
    from onnx import NodeProto

FILE = "onnx/model_q4.onnx"
"""As `transformers.js` calls it."""


class OnnxInt4Target(Target):
    """Smaller than int8, less accurate and slower: for where the size of the file decides."""

    engine = "onnxruntime"
    precision = "int4"
    method = "int4"
    packages = _onnx.PACKAGES
    extra = "onnx"
    # Of the largest of thousands of numbers, in tiny models with random weights drawn wide: up to
    # 2.33 there, with a head over all words. It tells a wrong conversion (5 and more) from noise,
    # not a good model from a bad.
    tolerance = 3.0

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        """Returns a weight as the file holds it."""
        return _onnx_int4.narrow(weight, role)

    def round_layers(
        self,
        graph: Graph,  # noqa: ARG002 - which others look at
        calibration: Calibration,  # noqa: ARG002
        keep_float: Sequence[str],  # noqa: ARG002
    ) -> Mapping[str, Blocks]:
        """Returns matrices that are not rounded to nearest, by the names of their modules."""
        return {}

    def describe(self, calibration: Calibration) -> dict[str, Any]:  # noqa: ARG002
        """Returns how weights were rounded, for card and record."""
        return {"rounding": "each weight to the nearest"}

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `onnx/model_q4.onnx`."""
        rounded = self.round_layers(graph, calibration, keep_float)
        model = _onnx.trace(graph)
        kept = _onnx.nodes_of(model, graph, keep_float)

        def choose(node: NodeProto, weight: Tensor) -> Blocks:
            return rounded.get(_onnx.module_of(node) or "") or round_to_nearest(weight)

        _onnx_int8.turn_tables(model, exclude=kept)
        words = [n for n, m in list_modules(graph).items() if find_role(graph, m) == "words"]
        small = _onnx.nodes_of(model, graph, words)
        _onnx_int4.write_tables(model, only=set(small) - set(kept))
        _onnx_int8.quantize_tables(model, exclude=kept)
        begin_step("quantising")
        _onnx_int4.write_matrices(model, choose, exclude=kept)
        _onnx.save(model, folder / FILE)
        return Written(
            files=(FILE,),
            made_with=_onnx.versions(),
            options={
                "weights": f"int4, a scale and a zero point for each {SIZE}",
                "words": f"int4, a scale and a zero point for each {SIZE}",
                "other_embeddings": "int8, one scale for each row",
                "activations": "int8 within each product",
                **self.describe(calibration),
                "kept_in_float": list(keep_float),
            },
        )


TargetType = OnnxInt4Target
