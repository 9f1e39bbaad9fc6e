"""The graph as a program of PyTorch's own, with free axes and inputs that go by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step


class _Named(nn.Module):
    """The graph with arguments that have names, which become those of the program."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.wrapped = graph  # `graph` is what programs call their own
        self.eval()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        types = () if token_type_ids is None else (token_type_ids,)
        return self.wrapped(input_ids, attention_mask, *types)  # type: ignore[no-any-return]


def trace(graph: Graph) -> ExportedProgram:
    """Returns the program, for any batch and every length that the model has positions for."""
    longest = {"sequence_length": graph.config.max_tokens}
    axes = {
        place: torch.export.Dim(name, min=1, max=longest.get(name))
        for place, name in graph.axes.items()
    }
    begin_step("tracing")
    inputs = dict(zip(graph.input_names, graph.example(), strict=True))
    with quiet("torch.export", "torch.fx"), torch.no_grad():
        return torch.export.export(
            _Named(graph), (), inputs, dynamic_shapes=dict.fromkeys(inputs, axes)
        )
