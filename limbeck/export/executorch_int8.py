"""ExecuTorch in int8: weights of layers and embeddings, activations narrowed while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.export._executorch import ExecutorchTarget, Tracer, lower
from limbeck.export._graph import Graph
from limbeck.export._steps import begin_step


class ExecutorchInt8Target(ExecutorchTarget):
    """One program with free length, a quarter as large.

    Weights of layers have a scale for each output, embeddings one for each token, activations one
    for each row that is made while it runs: nothing is calibrated.
    """

    precision = "int8"
    tolerance = 0.2

    def lower(self, graph: Graph, trace: Tracer, keep_float: Sequence[str]) -> bytes:
        """Returns the file that a model becomes."""
        import executorch.kernels.quantized  # noqa: F401 - registers the embeddings' operator
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
            XnnpackDynamicallyQuantizedPartitioner,
        )
        from executorch.exir.passes.quant_fusion_pass import QuantFusionPass
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        traced = trace(graph, takes_a_tuple=True).module()
        begin_step("quantising")
        prepared = prepare_pt2e(traced, _make_quantizer(keep_float))
        prepared(*trace.example)  # the scales of weights are taken as they are first used
        program = trace(convert_pt2e(prepared))
        return lower(
            program,
            before=[XnnpackDynamicallyQuantizedPartitioner()],
            after=[QuantFusionPass(_fix_node_meta_val=True)],
        )


def _make_quantizer(keep_float: Sequence[str]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantizer import ComposableQuantizer
    from torchao.quantization.pt2e.quantizer.embedding_quantizer import EmbeddingQuantizer

    class KeepingQuantizer(ComposableQuantizer):  # type: ignore[misc]
        """Takes back what is said of modules that stay in float."""

        def transform_for_annotation(self, model: Any) -> Any:
            return model  # XNNPACK's would make floats of what is added to places and distances

        def annotate(self, model: Any) -> Any:
            model = super().annotate(model)
            for node in model.graph.nodes:
                if _module_of(node).startswith(tuple(f"{name}." for name in keep_float)):
                    node.meta.pop("quantization_annotation", None)
            return model

    layers = XNNPACKQuantizer()
    layers.set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True))
    return KeepingQuantizer([EmbeddingQuantizer(), layers])


def _module_of(node: Any) -> str:
    """Returns the module that a traced step stands in, by its name and a dot."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]).removeprefix("model.") + "." if stack else ""


TargetType = ExecutorchInt8Target
