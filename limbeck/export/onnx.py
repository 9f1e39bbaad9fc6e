"""ONNX in fp32, for ONNX Runtime and whatever else reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.export import _onnx
from limbeck.export._graph import Graph
from limbeck.export._target import Calibration, Target, Written

FILE = "onnx/model.onnx"
"""Where the Hub's users, `transformers.js` and `sentence-transformers` look for it."""


class OnnxTarget(Target):
    """One file with free batch and length."""

    engine = "onnxruntime"
    packages = _onnx.PACKAGES
    extra = "onnx"

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),  # noqa: ARG002
    ) -> Written:
        """Writes `onnx/model.onnx`."""
        _onnx.save(_onnx.trace(graph), folder / FILE)
        return Written(files=(FILE,), made_with=_onnx.versions())


TargetType = OnnxTarget
