"""What all targets begin with that write ONNX: the graph, traced once, and its modules' names."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import torch

from limbeck.export._graph import Graph
from limbeck.export._quiet import quiet
from limbeck.export._steps import begin_step

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# 23 has Attention as one step, 3 to 12 % faster than its parts (docs/log.md); 20 has Gelu and 17
# LayerNormalization so. ONNX Runtime reads 23 since 1.23, which pyproject.toml asks for. The ONNX
# Runtime Web of transformers.js 4 reads it too.
OPSET: Final = 23
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
        begin_step("tracing")
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
            custom_translation_table={
                torch.ops.aten.scaled_dot_product_attention.default: _write_attention
            },
            external_data=False,
            verbose=False,
        )
        assert program is not None
        model: ModelProto = program.model_proto
    # Shapes between steps are for readers: quantisers trip over them, and where ONNX Runtime knows
    # them it fuses sums into SkipLayerNormalization, whose kernel is 10 % slower on the whole.
    del model.graph.value_info[:]
    return model


def _write_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002 - these are torch's own arguments
    scale: float | None = None,
    enable_gqa: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    """Returns attention as one step, its mask as large as the scores: the runtime wants it so."""
    from onnxscript import opset23

    assert not any((is_causal, enable_gqa, dropout_p)), "no model has these"
    op: Any = opset23
    if attn_mask is not None and attn_mask.shape[-2] == 1:
        num_queries = op.Shape(attn_mask, start=3)  # as many as keys, and the same in each layer
        one = op.Constant(value_ints=[1])
        attn_mask = op.Expand(attn_mask, op.Concat(one, one, num_queries, one, axis=0))
    attended, *_ = op.Attention(query, key, value, attn_mask, scale=scale)
    return attended


def save(model: ModelProto, path: Path) -> None:
    """Writes one file, weights and all."""
    import onnx

    begin_step("writing")
    forget_notes(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)


def forget_notes(model: ModelProto) -> None:
    """Removes what the exporter noted, such as lines and paths of the code behind each step.

    The names of modules go with it: `nodes_of` comes first.
    """
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]


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
