"""SmoothQuant: outliers of activations moved into the weights, before both are narrowed.

Source: Xiao et al. 2023, https://arxiv.org/abs/2211.10438, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import torch
from torch import Tensor, nn

from limbeck.export import _onnx, _onnx_int8
from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches, find_mask, run, take_real, watched
from limbeck.export._narrowing import Narrowing, Role
from limbeck.export._simulation import measure_loss, narrowed, run_all
from limbeck.export._steps import begin_step

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# How far outliers are moved: 0 not at all, 1 until all channels of an input are alike. The cosine
# of vectors of all-mpnet-base-v2 is 0.897 without it on sentences, and 0.966 and 0.986 with 0.6 and
# 0.7; with 0.8 it is 0.988, but 0.948 on long texts, where 0.7 has 0.981.
_STRENGTHS: Final = (0.5, 0.6, 0.7)
# Squared, of what is lost without. Texts of another kind gain less: 0.88 on the shipped ones was
# 1.4 on film reviews with all-MiniLM-L6-v2.
_CLEARLY: Final = 0.5
_BATCHES: Final = 8  # of those that show outliers, to try strengths on: a few dozen texts


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """How outliers of a model are moved.

    Attributes:
        peaks: As `measure_peaks` gives them.
        strength: As `choose_strength` gives it.
    """

    peaks: Mapping[str, Tensor]
    strength: float | None

    @classmethod
    def find(cls, graph: Graph, batches: Batches, *, keep_float: Sequence[str] = ()) -> Self:
        """Finds outliers on texts, and how far they are best moved; see `choose_strength`."""
        begin_step(f"looking for outliers in {len(batches)} batches")
        peaks = measure_peaks(graph, batches)
        strength = choose_strength(graph, peaks, batches, keep_float=keep_float)
        return cls(peaks=peaks, strength=strength)

    def describe(self) -> str:
        """Returns what card and record say of it."""
        if self.strength is None:
            return "left in the inputs of products"
        return f"moved into the weights with a strength of {self.strength}, as SmoothQuant does"


@torch.no_grad()
def measure_peaks(graph: Graph, batches: Batches) -> dict[str, Tensor]:
    """Returns how large each channel of the inputs of `nn.Linear` modules gets, by their names.

    Shape:
        result: (inputs,) each.
    """
    names: dict[nn.Module, str] = {module: name for name, module in _products(graph).items()}
    peaks: dict[str, Tensor] = {}

    def note(mask: Tensor, module: nn.Module, given: Tensor) -> None:
        largest = take_real(given, mask).abs().amax(dim=0)
        peaks[names[module]] = torch.maximum(largest, peaks.get(names[module], largest))

    for batch in batches:
        with watched(names, partial(note, find_mask(batch))):
            run(graph, batch)
    return peaks


def choose_strength(
    graph: Graph,
    peaks: Mapping[str, Tensor],
    batches: Batches,
    *,
    keep_float: Sequence[str] = (),
) -> float | None:
    """Returns the strength with which the model's outputs lose least in int8.

    It is None, and outliers stay where they are, unless moving them is clearly better.

    What is lost is found in torch, with weights and inputs rounded. A model whose weights int8
    holds already, as training with weights of int8 leaves them, is not to be changed.

    Args:
        graph: The model.
        peaks: As `measure_peaks` gives them.
        batches: Some of them are tried.
        keep_float: Names of modules that are not rounded, with all in them.
    """
    kept, products = graph.modules_within(keep_float), _products(graph)
    modules = {name: products[name] for name in peaks if name not in kept}
    weights = [module.weight.data for module in modules.values()]
    is_rounded = all(torch.equal(_onnx_int8.narrow(weight, "matrix"), weight) for weight in weights)
    some = batches[:: max(1, len(batches) // _BATCHES)][:_BATCHES]
    if is_rounded or not some:
        return None
    exact = run_all(graph, some)

    def lose(strength: float | None) -> float:
        with ExitStack() as stack:
            for name, module in modules.items():
                powers = find_powers(peaks[name], [module.weight.data.T], strength)
                stack.enter_context(narrowed(module, _Smoothed(powers), "matrix"))
            return measure_loss(exact, run_all(graph, some), some)

    lost = {strength: lose(strength) for strength in (None, *_STRENGTHS)}
    best = min(_STRENGTHS, key=lambda strength: lost[strength])
    return best if lost[best] < _CLEARLY * lost[None] else None


class _Smoothed(Narrowing):
    """Int8 of a product whose outliers were moved."""

    precision = "int8"

    def __init__(self, powers: Tensor) -> None:
        self._powers = powers

    def narrow(self, weight: Tensor, *, role: Role = "matrix") -> Tensor:
        return _onnx_int8.narrow(torch.ldexp(weight, self._powers), role)

    def narrow_input(self, given: Tensor) -> Tensor:
        return super().narrow_input(torch.ldexp(given, -self._powers))


def smooth(model: ModelProto, smoothing: Smoothing, *, exclude: Sequence[str] = ()) -> None:
    """Divides inputs of products by a number a channel, and multiplies their weights by it.

    The numbers are powers of two, so that in float nothing changes, to the bit. A weight that is
    multiplied by several inputs stays as it is.

    Args:
        model: What is changed.
        smoothing: How; products of modules that it does not know stay as they are.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import helper, numpy_helper

    if smoothing.strength is None:
        return
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    places: dict[str, NodeProto] = {}
    for given, products in _group_products(model, smoothing.peaks, exclude).items():
        names = dict.fromkeys(product.input[1] for product in products)
        weights = {
            name: torch.from_numpy(numpy_helper.to_array(tensors[name]).copy()) for name in names
        }
        peak = smoothing.peaks[_onnx.module_of(products[0]) or ""]
        powers = find_powers(peak, [*weights.values()], smoothing.strength)
        for name, weight in weights.items():
            values = torch.ldexp(weight, powers[:, None]).numpy()
            tensors[name].CopyFrom(numpy_helper.from_array(values, name))
        inverse = torch.ldexp(torch.ones(len(powers)), -powers).numpy()
        model.graph.initializer.append(numpy_helper.from_array(inverse, f"{given}_inverse"))
        divided = f"{given}_divided"
        places[products[0].name] = helper.make_node(
            "Mul", [given, f"{given}_inverse"], [divided], divided
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


def find_powers(peak: Tensor, weights: Sequence[Tensor], strength: float | None) -> Tensor:
    """Returns for each channel by which power of two weights are multiplied and inputs divided.

    Shape:
        peak: (inputs,).
        weights: (inputs, outputs) each.
        result: (inputs,), whole numbers.
    """
    if strength is None:
        return torch.zeros(len(peak), dtype=torch.int32)
    largest = torch.stack([weight.abs().amax(dim=1) for weight in weights]).amax(dim=0)
    tiny = torch.finfo(torch.float32).tiny
    powers = strength * peak.clamp(min=tiny).log2()
    powers -= (1 - strength) * largest.clamp(min=tiny).log2()
    return powers.round().where((peak > 0) & (largest > 0), 0).to(torch.int32)


def _products(graph: Graph) -> dict[str, nn.Linear]:
    return {
        name: module
        for name, module in graph.model.named_modules()
        if isinstance(module, nn.Linear)
    }


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
