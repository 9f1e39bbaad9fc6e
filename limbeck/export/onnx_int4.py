"""ONNX with int4 weights and tables: a small file, each number rounded by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from limbeck.export import _onnx, _onnx_int4, _onnx_int8
from limbeck.export._blocks import Blocks
from limbeck.export._graph import Graph
from limbeck.export._sensitivity import find_role, list_modules
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

if TYPE_CHECKING:
    from onnx import NodeProto


class OnnxInt4Target(_onnx_int4.InBlocks, Target):
    """Smaller than int8, less accurate and slower: for where the size of the file decides."""

    engine = "onnxruntime"
    precision = "int4"
    method: ClassVar[str | None] = "int4"
    trained_bits: ClassVar[int | None] = 4
    packages = _onnx.PACKAGES
    extra = "onnx"
    wider = (_onnx_int4.EightBits(),)
    # Of the largest of thousands of numbers, in tiny models with random weights drawn wide: up to
    # 2.33 there, with a head over all words. It tells a wrong conversion (5 and more) from noise,
    # not a good model from a bad.
    tolerance = 3.0

    file: ClassVar[str] = "onnx/model_q4.onnx"
    """As `transformers.js` calls it."""

    def round_layers(
        self,
        graph: Graph,  # noqa: ARG002 - which others look at
        calibration: Calibration,  # noqa: ARG002
        keep: Sequence[str],  # noqa: ARG002
    ) -> Mapping[str, Blocks]:
        """Returns matrices that are not rounded each by itself, by the names of their modules.

        Args:
            graph: The model.
            calibration: What they may be rounded by.
            keep: Names of modules that are wider, with all in them.
        """
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
        """Writes the file."""
        rounded = self.round_layers(graph, calibration, (*keep_float, *self.widened))
        model = _onnx.trace(graph)
        kept = _onnx.nodes_of(model, graph, keep_float)

        def choose(node: NodeProto, weight: Tensor) -> Blocks:
            name = _onnx.module_of(node) or ""
            narrowing = self.widened.get(name, self)
            assert isinstance(narrowing, _onnx_int4.InBlocks)
            return rounded.get(name) or narrowing.to_blocks(weight)

        _onnx_int8.turn_tables(model, exclude=kept)
        words = [n for n, m in list_modules(graph).items() if find_role(graph, m) == "words"]
        small = _onnx.nodes_of(model, graph, [name for name in words if name not in self.widened])
        _onnx_int4.write_tables(model, self.to_blocks, only=set(small) - set(kept))
        _onnx_int8.quantize_tables(model, exclude=kept)
        begin_step("quantising")
        _onnx_int4.write_matrices(model, choose, exclude=kept)
        _onnx.save(model, folder / self.file)
        stored = f"{self.precision}, a scale and a zero point for each {self.size}"
        return Written(
            files=(self.file,),
            made_with=_onnx.versions(),
            options={
                "weights": stored,
                "words": stored,
                "other_embeddings": "int8, one scale for each row",
                "activations": "int8 within each product",
                **self.describe(calibration),
                **({"kept_in_int8": list(self.widened)} if self.widened else {}),
                "kept_in_float": list(keep_float),
            },
        )


TargetType = OnnxInt4Target
