"""OpenVINO in int8, by NNCF: weights and activations, ranges taken from texts."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.export import _openvino
from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

if TYPE_CHECKING:
    from openvino import Model as Network


class OpenVinoInt8Target(Target):
    """Graph and weights, with free batch and length.

    With texts, inputs of matrix products are int8 too, at ranges that the texts have shown; without
    any only weights are, which is more exact and slower: see docs/log.md.
    """

    engine = "openvino"
    precision = "int8"
    packages = ("openvino", "nncf")
    extra = "openvino"
    needs_calibration = True
    does_without_texts = True
    # Of the tests' random models that were measured, ELECTRA is the farthest, at 1.1.
    tolerance = 1.5

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `openvino/openvino_model.xml` and `.bin`.

        Raises:
            ExportError: If the model has no module that `keep_float` names.
        """
        network = _openvino.convert(graph)
        kept = _openvino.steps_of(network, graph, keep_float)
        files = _openvino.save(_narrow(network, calibration, kept), folder)
        return Written(
            files=files,
            made_with=_openvino.versions("nncf"),
            options={
                "narrowed": "weights and activations" if calibration else "weights",
                "calibration_batches": len(calibration),
                "kept_in_float": list(keep_float),
            },
        )


def _narrow(network: Network, calibration: Calibration, kept: Sequence[str]) -> Network:
    ranges = f"taking ranges from {len(calibration)} batches, and " if calibration else ""
    begin_step(f"{ranges}quantising")
    with _openvino.unreported():  # from the import on
        import nncf

        # Steps without a place in NNCF's own graph, as constants are, are named too.
        ignored = nncf.IgnoredScope(names=list(kept), validate=False)
        with quiet("nncf"), contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            if not calibration:
                mode = nncf.CompressWeightsMode.INT8_SYM
                return nncf.compress_weights(network, mode=mode, ignored_scope=ignored)
            return nncf.quantize(
                network,
                nncf.Dataset(list(calibration), _to_arrays),
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(calibration),
                ignored_scope=ignored,
            )


def _to_arrays(batch: Any) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in batch.items()}


TargetType = OpenVinoInt8Target
