"""What the targets of ExecuTorch share: one program with free length, for XNNPACK.

It takes one row, as a phone has it. When it is loaded the program sets memory aside for the most
that it takes, whatever it is given; and a free batch does not survive lowering in all families.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from limbeck.export._graph import Graph
from limbeck.export._mobile import WrittenOut, longest_row, make_example, quiet_python
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written

FILE = "executorch/model.pte"


class ExecutorchTarget(Target):
    """Base of the targets.

    Args:
        max_tokens: Longest row; by default the model's, at most 512.
    """

    engine = "executorch"
    packages = ("executorch",)
    extra = "executorch"

    def __init__(self, *, max_tokens: int | None = None) -> None:
        self._max_tokens = max_tokens

    def longest_row(self, graph: Graph) -> int:
        """Returns the most tokens of a row that the file takes."""
        return self._max_tokens or longest_row(graph)

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002 - ranges are taken while it runs
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `executorch/model.pte`."""
        longest = self.longest_row(graph)
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        begin_step("tracing")
        with quiet_python():
            path.write_bytes(self.lower(graph, Tracer(graph, longest), keep_float))
        return Written(
            files=(FILE,),
            made_with={"executorch": version("executorch")},
            options={"backend": "xnnpack", "max_rows": 1, "max_tokens": longest},
        )

    @abstractmethod
    def lower(self, graph: Graph, trace: Tracer, keep_float: Sequence[str]) -> bytes:
        """Returns the file that a model becomes."""


class Tracer:
    """Traces modules that take a model's inputs, with free length.

    Args:
        graph: The model.
        longest: Longest row in tokens.
    """

    def __init__(self, graph: Graph, longest: int) -> None:
        self.example = make_example(graph, rows=1, tokens=8)
        self._axes = {self.example[0].ndim - 1: Dim("tokens", min=1, max=longest)}

    def __call__(self, module: nn.Module, *, takes_a_tuple: bool = False) -> ExportedProgram:
        """Returns the program of a module.

        Args:
            module: What is traced.
            takes_a_tuple: Whether its `forward` names its inputs by a star.
        """
        axes = tuple(self._axes for _ in self.example)
        # XNNPACK's own GELU of this kind is off by 5e-4, its tangent by 2e-7.
        with WrittenOut(gelu=True):
            return torch.export.export(
                module, self.example, dynamic_shapes=(axes,) if takes_a_tuple else axes
            )


def lower(
    program: ExportedProgram, *, before: Sequence[Any] = (), after: Sequence[Any] = ()
) -> bytes:
    """Returns the file of a program, all that XNNPACK can run given to it.

    Args:
        program: What was traced.
        before: What takes its part of the program before XNNPACK's usual share is taken.
        after: Passes over what is left.
    """
    from executorch.backends.xnnpack.partition.config import (
        ALL_PARTITIONER_CONFIGS,
        UnsqueezeCopyConfig,
    )
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    begin_step("lowering")
    # It takes this step too where two dimensions are free, and then can't write it.
    taken = [config for config in ALL_PARTITIONER_CONFIGS if config is not UnsqueezeCopyConfig]
    edge = to_edge_transform_and_lower(
        program, partitioner=[*before, XnnpackPartitioner(configs=taken)]
    )
    return bytes((edge.transform(list(after)) if after else edge).to_executorch().buffer)
