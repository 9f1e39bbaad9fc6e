"""What all targets begin with that write ONNX: the graph, traced once, and its modules' names."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import torch

from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# 17 has LayerNormalization and 20 Gelu as one step each; ONNX Runtime reads 20 since 1.17, as does
# every ONNX Runtime Web that transformers.js 3 and 4 come with. From 23 on there is Attention too:
# see docs/log.md for why it is not used.
OPSET: Final = 20
PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_LOGGERS: Final = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")
_SCOPES: Final = "pkg.torch.onnx.name_scopes"

_traced: WeakKeyDictionary[Graph, tuple[tuple[tuple[int, int], ...], ModelProto]] = (
    WeakKeyDictionary()
)


def trace(graph: Graph) -> ModelProto:
    """Returns the model in ONNX, in fp32 and with free batch and length.

    Tracing takes seconds, and a search for what is kept in float wants many files of one model: the
    last trace of each graph is kept, until its weights change or the graph is gone.
    """
    from onnx import ModelProto

    weights = tuple((w.data_ptr(), w._version) for w in graph.parameters())
    known = _traced.get(graph)
    if known is None or known[0] != weights:
        known = (weights, _trace(graph))
        _traced[graph] = known
    copy = ModelProto()
    copy.CopyFrom(known[1])
    return copy


def _trace(graph: Graph) -> ModelProto:
    example = graph.example()
    # A table of positions bounds the length. If that is not said, it is found out by an error and
    # everything is traced twice.
    bounds = {"sequence_length": graph.config.max_tokens}
    axes = {
        place: torch.export.Dim(name, max=bounds.get(name)) for place, name in graph.axes.items()
    }
    with quiet(*_LOGGERS), torch.no_grad():
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
        model: ModelProto = program.model_proto
    return model


def save(model: ModelProto, path: Path) -> None:
    """Writes one file, weights and all."""
    import onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)


def versions() -> dict[str, str]:
    """What made the file."""
    return {"onnx": version("onnx"), "onnxruntime": version("onnxruntime"), "opset": str(OPSET)}


def module_of(node: NodeProto) -> str | None:
    """Returns which module of `graph.model` a node was traced in; None for one that is in none."""
    found = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), None)
    if found is None:
        return None
    *modules, _ = ast.literal_eval(found)
    innermost = modules[-1] if modules else ""
    return innermost.removeprefix("model").removeprefix(".")


def nodes_of(model: ModelProto, graph: Graph, modules: Sequence[str]) -> list[str]:
    """Returns the names of the nodes in some modules of `graph.model`, and in all below these.

    Raises:
        ExportError: If there is no such module.
    """
    within = graph.modules_within(modules)
    return [node.name for node in model.graph.node if module_of(node) in within]
