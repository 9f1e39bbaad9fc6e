"""ONNX in fp32, for ONNX Runtime and whatever else reads it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from limbeck.export._graph import Graph
from limbeck.export._target import Calibration, Target, Written

FILE = "onnx/model.onnx"
"""Where the Hub's users, `transformers.js` and `sentence-transformers` look for it."""
OPSET = 20


class OnnxTarget(Target):
    """One file with free batch and length."""

    engine = "onnxruntime"
    packages = ("onnx", "onnxscript", "onnxruntime")
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
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        example = graph.example()
        axes = {place: torch.export.Dim(name) for place, name in graph.axes.items()}
        program = torch.onnx.export(
            graph,
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(tuple(axes for _ in example),),
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            external_data=False,
            verbose=False,
        )
        assert program is not None
        program.save(path, external_data=False)
        return Written(files=(FILE,), made_with={"onnx": version("onnx"), "opset": str(OPSET)})


TargetType = OnnxTarget
