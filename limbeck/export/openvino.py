"""OpenVINO in fp32, for CPUs and graphics of Intel's and for ARM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.export import _openvino
from limbeck.export._graph import Graph
from limbeck.export._target import Calibration, Target, Written


class OpenVinoTarget(Target):
    """Graph and weights, with free batch and length."""

    engine = "openvino"
    packages = ("openvino",)
    extra = "openvino"
    # Sines and cosines are approximated: 1e-4 with rotary positions, 1e-5 with all others.
    tolerance = 5e-4

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),  # noqa: ARG002
    ) -> Written:
        """Writes `openvino/openvino_model.xml` and `.bin`."""
        files = _openvino.save(_openvino.convert(graph), folder)
        return Written(files=files, made_with=_openvino.versions())


TargetType = OpenVinoTarget
