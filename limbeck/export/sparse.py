"""Weights without their zeros, in int8: a small file of a pruned model, which torch runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from limbeck.checkpoints import SPARSE_NAME
from limbeck.checkpoints.sparse import write_sparse
from limbeck.export._graph import Graph
from limbeck.export._target import Calibration, Target, Written
from limbeck.models import Model, SentenceModel


class SparseTarget(Target):
    """The smallest file of a model whose weights were pruned; it runs as fast as the model.

    It is a model folder like any other: whatever of Limbeck reads one writes the zeros back.
    """

    engine = "torch"
    precision = "int8"
    tolerance = 0.5

    def narrow_input(self, given: Tensor) -> Tensor:
        """Returns what was given, since it computes in float."""
        return given

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `model.sparse.safetensors`."""
        model = graph.encoder_model
        assert isinstance(model, Model)
        names, head = model.architecture.names, model.kind.name
        prefix = "encoder." if isinstance(graph.model, SentenceModel) else ""
        kept = {f"{name.removeprefix(prefix)}.weight" for name in graph.modules_within(keep_float)}
        state = model.state_dict()
        tensors = names.write(state, head=head)
        in_float = {names.to_hf(name, head=head) for name in kept & state.keys()}
        write_sparse(folder / SPARSE_NAME, tensors, keep_float=in_float)
        matrices = [tensor for tensor in tensors.values() if tensor.ndim == 2]
        left = sum(int(each.count_nonzero()) for each in matrices)
        return Written(
            files=(SPARSE_NAME,),
            options={
                "weights": "int8, one scale for each row, zeros left out",
                "not_zero": f"{left / sum(each.numel() for each in matrices):.1%} of all weights",
                "kept_in_float": list(keep_float),
            },
        )


TargetType = SparseTarget
