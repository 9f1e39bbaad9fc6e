"""ONNX with int4 weights that were rounded together, on the user's own text: GPTQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.errors import ExportError
from limbeck.export import _gptq
from limbeck.export._blocks import Blocks
from limbeck.export._graph import Graph
from limbeck.export._target import Calibration
from limbeck.export.onnx_int4 import OnnxInt4Target


class OnnxInt4GptqTarget(OnnxInt4Target):
    """As small and as fast as `onnx-int4`, and more accurate on texts like those it was given.

    Source: Frantar et al. 2022, https://arxiv.org/abs/2210.17323.
    """

    method = "gptq"
    trained_bits = None
    needs_calibration = True

    def round_layers(
        self, graph: Graph, calibration: Calibration, keep: Sequence[str]
    ) -> Mapping[str, Blocks]:
        """Returns the matrices of all `nn.Linear` modules, rounded on texts.

        Raises:
            ExportError: If there is no text to round them on.
        """
        if not calibration:
            raise ExportError(
                f"{self.shown_name} rounds weights by what texts make of them, but there are none "
                "(0 batches for calibration); accepted: texts like those that the model will read"
            )
        return _gptq.round_layers(graph, calibration, narrowing=self, keep=keep)

    def describe(self, calibration: Calibration) -> dict[str, Any]:
        """Returns how weights were rounded, for card and record."""
        return {"rounding": f"GPTQ, on {len(calibration)} batches"}


TargetType = OnnxInt4GptqTarget
