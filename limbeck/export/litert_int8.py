"""LiteRT (TensorFlow Lite) in int8: weights and embeddings, activations while it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from limbeck.export._graph import Graph
from limbeck.export._litert import LitertTarget
from limbeck.export._steps import begin_step
from limbeck.inference.engines._quiet import quiet_stderr


class LitertInt8Target(LitertTarget):
    """One file with a signature for each length, a quarter as large.

    Weights have a scale for each output, activations one that is made while it runs: nothing is
    calibrated.
    """

    precision = "int8"
    packages = (*LitertTarget.packages, "ai_edge_quantizer")
    tolerance = 0.2

    def finish(self, content: bytes, graph: Graph, keep_float: Sequence[str]) -> bytes:
        """Returns the file that the one in float becomes."""
        from ai_edge_quantizer import quantizer, recipe

        begin_step("quantising")
        narrowing = quantizer.Quantizer(content)
        narrowing.load_quantization_recipe(recipe.dynamic_wi8_afp32())
        for name in keep_float:  # what is said later counts
            narrowing.update_quantization_recipe(
                _steps_of(graph, name), "*", algorithm_key="no_quantize"
            )
        with quiet_stderr():  # one of its bars can't be switched off
            result = narrowing.quantize(enable_progress_bar=False, enable_progress_report=False)
        assert result.quantized_model is not None
        return bytes(result.quantized_model)


def _steps_of(graph: Graph, name: str) -> str:
    """Returns a pattern of the steps that a module became.

    A step is called after the modules around it, `.../EncoderLayer_0/SelfAttention_attention/
    Linear_query`; lists of modules are never called and have no part in it.
    """
    parts = name.split(".")
    parents = [graph.model.get_submodule(".".join(parts[: n + 1])) for n in range(len(parts))]
    called = [
        part for part, at in zip(parts, parents, strict=True) if not isinstance(at, nn.ModuleList)
    ]
    # Three say which: a layer's number, the block and the module.
    return "/".join(rf"[^/;]*_{re.escape(part)}" for part in called[-3:]) + r"(?![^/;])"


TargetType = LitertInt8Target
