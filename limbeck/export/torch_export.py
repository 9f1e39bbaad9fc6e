"""A program of PyTorch's own (.pt2), which runs without Limbeck."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from limbeck.errors import ExportError
from limbeck.export import _program
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

FILE: Final = "torch/model.pt2"


class TorchExportTarget(Target):
    """One file with free batch and length, run by `torch.export.load(FILE).module()`.

    No engine of Limbeck's opens it: a `.pt2` may hold pickles and expressions that Python
    evaluates, so that opening somebody else's runs what they wrote. The file is opened once here,
    straight after it was written, and its answers are compared.
    """

    needs = "torch.export.load"
    tolerance = 1e-5

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),  # noqa: ARG002
    ) -> Written:
        """Writes `torch/model.pt2`.

        Raises:
            ExportError: If what was written gives other outputs than the model.
        """
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        program = _program.trace(graph)
        begin_step("writing, and reading again")
        content = io.BytesIO()  # on a full disk torch's own writer ends the process
        with quiet("torch.export", "torch.fx"):
            torch.export.save(program, content)
            path.write_bytes(content.getbuffer())
            module = torch.export.load(path).module()
        inputs = graph.example(rows=3, tokens=5)
        given = module(**dict(zip(graph.input_names, inputs, strict=True)))
        difference = max(
            float((one - other).abs().max() / other.std())
            for one, other in zip(given, graph(*inputs), strict=True)
        )
        if not difference <= self.tolerance:  # NaN is no tolerable difference either
            raise ExportError(
                f"{path} gives other outputs than {graph.class_name}: they differ by "
                f"{difference:.2g} of their spread, and {self.tolerance:g} is accepted"
            )
        return Written(files=(FILE,), options={"relative_difference": difference})


TargetType = TorchExportTarget
