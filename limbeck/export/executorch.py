"""ExecuTorch in fp32, for apps on Android and iOS that run PyTorch's programs with XNNPACK."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.export._executorch import ExecutorchTarget, Tracer, lower
from limbeck.export._graph import Graph


class ExecutorchFloatTarget(ExecutorchTarget):
    """One program with free length."""

    def lower(self, graph: Graph, trace: Tracer, keep_float: Sequence[str]) -> bytes:  # noqa: ARG002
        """Returns the file that a model becomes."""
        return lower(trace(graph, takes_a_tuple=True))


TargetType = ExecutorchFloatTarget
