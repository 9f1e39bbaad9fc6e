"""SmoothQuant: outliers of activations moved into the weights, before both are narrowed.

Source: Xiao et al. 2023, https://arxiv.org/abs/2211.10438, equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from limbeck.export import _onnx, _onnx_int8
from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches, find_mask, run, take_real, watched
from limbeck.export._narrowing import narrow_evenly

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


@torch.no_grad()
def choose_strength(graph: Graph, peaks: Mapping[str, Tensor], batches: Batches) -> float | None:
    """Returns the strength with which the model's outputs lose least in int8.

    It is None, and outliers stay where they are, unless moving them is clearly better.

    What is lost is found in torch, with weights and inputs rounded. A model whose weights int8
    holds already, as training with weights of int8 leaves them, is not to be changed.

    Args:
        graph: The model.
        peaks: As `measure_peaks` gives them.
        batches: Some of them are tried.
    """
    weights = [_products(graph)[name].weight for name in peaks]
    if all(torch.equal(_onnx_int8.narrow(weight, "matrix"), weight) for weight in weights):
        return None
    some = batches[:: max(1, len(batches) // _BATCHES)][:_BATCHES]
    exact = [run(graph, batch) for batch in some]

    def lose(strength: float | None) -> float:
        with _rounded(graph, peaks, strength):
            given = [run(graph, batch) for batch in some]
        return measure_loss(exact, given, some)

    if not some:
        return None
    lost = {strength: lose(strength) for strength in (None, *_STRENGTHS)}
    best = min(_STRENGTHS, key=lambda strength: lost[strength])
    return best if lost[best] < _CLEARLY * lost[None] else None


def measure_loss(
    exact: Sequence[tuple[Tensor, ...]], given: Sequence[tuple[Tensor, ...]], batches: Batches
) -> float:
    """Returns the squared error of outputs, each relative to its size; padding does not count."""
    lost, size = torch.zeros(len(exact[0])), torch.zeros(len(exact[0]))
    for own, others, batch in zip(exact, given, batches, strict=True):
        mask = batch["attention_mask"].bool()
        for place, (one, other) in enumerate(zip(own, others, strict=True)):
            is_of_tokens = one.shape[: mask.ndim] == mask.shape
            real, found = (one[mask], other[mask]) if is_of_tokens else (one, other)
            lost[place] += (found - real).square().sum()
            size[place] += real.square().sum()
    return float((lost / size.clamp(min=torch.finfo(size.dtype).tiny)).sum())


@contextmanager
def _rounded(graph: Graph, peaks: Mapping[str, Tensor], strength: float | None) -> Iterator[None]:
    """Has a model compute its products as ONNX Runtime does in int8."""
    hooks, weights = [], {}
    for name, peak in peaks.items():
        module = _products(graph)[name]
        weights[module] = module.weight.data
        powers = find_powers(peak, [module.weight.T], strength)
        module.weight.data = _onnx_int8.narrow(torch.ldexp(module.weight, powers), "matrix")
        hooks.append(module.register_forward_pre_hook(partial(_round_inputs, powers)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, weight in weights.items():
            module.weight.data = weight


def _round_inputs(powers: Tensor, module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:  # noqa: ARG001
    return (narrow_evenly(torch.ldexp(args[0], -powers)),)


def smooth(
    model: ModelProto,
    peaks: Mapping[str, Tensor],
    strength: float | None,
    *,
    exclude: Sequence[str] = (),
) -> None:
    """Divides inputs of products by a number a channel, and multiplies their weights by it.

    The numbers are powers of two, so that in float nothing changes, to the bit. A weight that is
    multiplied by several inputs stays as it is.

    Args:
        model: What is changed.
        peaks: As `measure_peaks` gives them; products of other modules stay as they are.
        strength: As `choose_strength` gives it.
        exclude: Names of nodes that stay as they are.
    """
    from onnx import helper, numpy_helper

    if strength is None:
        return
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    places: dict[str, NodeProto] = {}
    for given, products in _group_products(model, peaks, exclude).items():
        names = dict.fromkeys(product.input[1] for product in products)
        weights = {
            name: torch.from_numpy(numpy_helper.to_array(tensors[name]).copy()) for name in names
        }
        peak = peaks[_onnx.module_of(products[0]) or ""]
        powers = find_powers(peak, [*weights.values()], strength)
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


def describe(strength: float | None) -> str:
    """Returns what card and record say of a strength."""
    if strength is None:
        return "left in the inputs of products"
    return f"moved into the weights with a strength of {strength}, as SmoothQuant does"


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
