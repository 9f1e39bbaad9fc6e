"""SmoothQuant: outliers of activations moved into the weights, before both are narrowed.

Source: Xiao et al. 2023, https://arxiv.org/abs/2211.10438, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from limbeck.export import _onnx, _onnx_int8
from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches, find_mask, run, take_real, watched

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

STRENGTH: Final = 0.5
"""How far outliers are moved: 0 not at all, 1 until all channels of an input are alike."""
Floats = npt.NDArray[np.float32]


@torch.no_grad()
def measure_peaks(graph: Graph, batches: Batches) -> dict[str, Tensor]:
    """Returns how large each channel of the inputs of `nn.Linear` modules gets, by their names.

    Shape:
        result: (inputs,) each.
    """
    names: dict[nn.Module, str] = {
        module: name
        for name, module in graph.model.named_modules()
        if isinstance(module, nn.Linear)
    }
    peaks: dict[str, Tensor] = {}

    def note(mask: Tensor, module: nn.Module, given: Tensor) -> None:
        largest = take_real(given, mask).abs().amax(dim=0)
        peaks[names[module]] = torch.maximum(largest, peaks.get(names[module], largest))

    for batch in batches:
        with watched(names, partial(note, find_mask(batch))):
            run(graph, batch)
    return peaks


def smooth(model: ModelProto, peaks: Mapping[str, Tensor], *, exclude: Sequence[str] = ()) -> None:
    """Divides inputs of products by a number a channel, and multiplies their weights by it.

    The numbers are powers of two, so that in float nothing changes, to the bit. A weight that is
    multiplied by several inputs stays as it is.

    Args:
        model: What is changed.
        peaks: As `measure_peaks` gives them; products of other modules stay as they are.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    places: dict[str, NodeProto] = {}
    for given, products in _group_products(model, peaks, exclude).items():
        names = dict.fromkeys(product.input[1] for product in products)
        read = {name: numpy_helper.to_array(weights[name]) for name in names}
        peak = peaks[_onnx.module_of(products[0]) or ""].numpy()
        powers = choose_powers(peak, [*read.values()])
        for name, values in read.items():
            weights[name].CopyFrom(numpy_helper.from_array(np.ldexp(values, powers[:, None]), name))
        inverse = numpy_helper.from_array(np.ldexp(np.float32(1), -powers), f"{given}_inverse")
        model.graph.initializer.append(inverse)
        divided = f"{given}_divided"
        places[products[0].name] = helper.make_node(
            "Mul", [given, inverse.name], [divided], divided
        )
        for product in products:
            product.input[0] = divided
    _onnx_int8.replace_nodes(
        model,
        [
            each
            for node in model.graph.node
            for each in ([places[node.name], node] if node.name in places else [node])
        ],
    )


def choose_powers(peak: Floats, weights: Sequence[Floats]) -> npt.NDArray[np.int32]:
    """Returns for each channel by which power of two weights are multiplied and inputs divided.

    Shape:
        peak: (inputs,).
        weights: (inputs, outputs) each.
        result: (inputs,).
    """
    largest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    tiny = np.finfo(np.float32).tiny
    factors = STRENGTH * np.log2(peak.clip(tiny)) - (1 - STRENGTH) * np.log2(largest.clip(tiny))
    is_used = (peak > 0) & (largest > 0)
    powers: npt.NDArray[np.int32] = np.where(is_used, factors.round(), 0).astype(np.int32)
    return powers


def _group_products(
    model: ModelProto, peaks: Mapping[str, Tensor], exclude: Sequence[str]
) -> dict[str, list[NodeProto]]:
    """Returns products with weights of their own, by the input that they share."""
    weights = {tensor.name for tensor in model.graph.initializer}
    groups: dict[str, list[NodeProto]] = {}
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        is_product = (
            node.op_type == "MatMul"
            and node.input[1] in weights
            and node.name not in exclude
            and _onnx.module_of(node) in peaks
        )
        if is_product:
            groups.setdefault(node.input[0], []).append(node)
        for name in weights.intersection(node.input):
            readers.setdefault(name, set()).add(node.input[0] if is_product else node.name)
    return {
        given: products
        for given, products in groups.items()
        if all(readers[product.input[1]] == {given} for product in products)
    }
