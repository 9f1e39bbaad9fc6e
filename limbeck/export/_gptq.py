"""GPTQ for encoders: weights rounded one column after another, each making good what came before.

Source: Frantar et al. 2022, https://arxiv.org/abs/2210.17323, algorithm 1, with its order by the
size of the inputs and its damping of 1 %.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, Final

import torch
from torch import Tensor, nn

from limbeck.export._blocks import Blocks, Grid, find_grid, round_to_nearest, to_whole
from limbeck.export._graph import Graph
from limbeck.export._inputs import Batches, find_mask, run, take_real, watched
from limbeck.export._narrowing import Narrowing
from limbeck.export._sensitivity import find_role, list_modules
from limbeck.export._steps import begin_step
from limbeck.models import Model

_DAMPING: Final = 0.01
# Columns whose errors are gathered before all others are told: it changes no number, only how
# large the matrix products are.
_COLUMNS_AT_A_TIME: Final = 128


def round_by_columns(weight: Tensor, hessian: Tensor) -> Blocks:
    """Returns a matrix in whole numbers that does to its inputs nearly what the matrix does.

    Columns are rounded in the order of how large their inputs are, and what each misses is made
    good by those that are still to come. Scales are found beforehand, since neighbours share one in
    whatever order they are rounded. A row that comes out worse than rounded to nearest is rounded
    to nearest.

    Args:
        weight: The matrix.
        hessian: Sum over the inputs of each times itself, by which errors are weighed.

    Shape:
        weight: (outputs, inputs).
        hessian: (inputs, inputs).
    """
    nearest = round_to_nearest(weight)
    weight, hessian = weight.double(), hessian.double()
    sizes = hessian.diagonal()
    if not sizes.any():
        return nearest
    grid = find_grid(weight, importance=sizes)
    searched = Blocks(numbers=grid.round(weight), grid=grid)
    best = Blocks(numbers=round_in_order(weight, hessian, grid), grid=grid)
    for other in (searched, nearest):
        best = _better_rows(best, other, weight, hessian)
    return best


def round_in_order(weight: Tensor, hessian: Tensor, grid: Grid) -> Tensor:
    """Returns whole numbers on a grid, each column's chosen once those before it are known.

    Shape:
        weight, result: (outputs, inputs).
        hessian: (inputs, inputs).
    """
    order = hessian.diagonal().argsort(descending=True, stable=True)
    factor = _factorise(hessian[order][:, order])
    scales, zeros = (part[:, order] for part in grid.spread(weight.shape[1]))
    numbers = torch.empty_like(zeros)
    numbers[:, order] = _round_columns(
        weight[:, order], factor, scales.to(weight.dtype), zeros, bits=grid.bits
    )
    return numbers


def _factorise(hessian: Tensor) -> Tensor:
    """Returns the upper Cholesky factor of the inverse of a damped Hessian."""
    damped = hessian + _DAMPING * hessian.diagonal().mean() * torch.eye(
        len(hessian), dtype=hessian.dtype
    )
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor


def _round_columns(
    weight: Tensor, factor: Tensor, scales: Tensor, zeros: Tensor, *, bits: int
) -> Tensor:
    """Rounds columns from the first to the last.

    Shape:
        weight, scales, zeros, result: (outputs, inputs).
        factor: (inputs, inputs).
    """
    left = weight.clone()
    numbers = torch.empty_like(zeros)
    for start in range(0, weight.shape[1], _COLUMNS_AT_A_TIME):
        end = min(start + _COLUMNS_AT_A_TIME, weight.shape[1])
        errors = torch.empty_like(left[:, start:end])
        for place in range(start, end):
            column, scale, zero = left[:, place], scales[:, place], zeros[:, place]
            whole = to_whole(column, scale, zero, bits=bits)
            error = (column - (whole - zero) * scale) / factor[place, place]
            left[:, place + 1 : end] -= torch.outer(error, factor[place, place + 1 : end])
            numbers[:, place] = whole.to(numbers.dtype)
            errors[:, place - start] = error
        left[:, end:] -= errors @ factor[start:end, end:]
    return numbers


def measure_misses(blocks: Blocks, weight: Tensor, hessian: Tensor) -> Tensor:
    """Returns the squared error of each output over all inputs that the Hessian is of.

    Shape:
        weight: (outputs, inputs).
        hessian: (inputs, inputs).
        result: (outputs,).
    """
    missed = blocks.to_float().to(hessian.dtype) - weight
    return ((missed @ hessian) * missed).sum(dim=1)


def _better_rows(one: Blocks, other: Blocks, weight: Tensor, hessian: Tensor) -> Blocks:
    misses = [measure_misses(blocks, weight, hessian) for blocks in (one, other)]
    is_first = (misses[0] <= misses[1])[:, None]
    return Blocks(
        numbers=one.numbers.where(is_first, other.numbers),
        grid=replace(
            one.grid,
            scales=one.grid.scales.where(is_first, other.grid.scales),
            zeros=one.grid.zeros.where(is_first, other.grid.zeros),
        ),
    )


@torch.no_grad()
def round_layers(
    graph: Graph,
    batches: Batches,
    *,
    narrowing: Narrowing,
    keep: Sequence[str] = (),
) -> dict[str, Blocks]:
    """Rounds the matrices of a model in the order in which an input passes them.

    What a matrix is weighed by is what those before it give it, rounded as they are by then.
    Padding does not count.

    Args:
        graph: The model; it is left as it was.
        batches: Inputs by name, the attention mask among them.
        narrowing: Says how a table of embeddings is held.
        keep: Names of modules that stay as they are, with all in them.

    Returns:
        The matrices of `nn.Linear` modules, by the names of these within `graph.model`.
    """
    graph = copy.deepcopy(graph)
    kept = graph.modules_within(keep)
    modules = {n: module for n, module in list_modules(graph).items() if n not in kept}
    for module in modules.values():
        if isinstance(module, nn.Embedding):
            module.weight.data = narrowing.narrow(module.weight.data, role=find_role(graph, module))
    linear = {n: module for n, module in modules.items() if isinstance(module, nn.Linear)}
    done: dict[str, Blocks] = {}
    for scope, stages in groupby(_list_stages(graph, linear, batches[0]), lambda s: s.scope):
        calls = [_Call.record(scope, graph, batch) for batch in batches]
        for stage in stages:
            begin_step(f"rounding matrices by GPTQ, {len(done)} of {len(linear)} done")
            hessians = _measure_hessians([linear[name] for name in stage.names], calls)
            for name, hessian in zip(stage.names, hessians, strict=True):
                done[name] = round_by_columns(linear[name].weight.data, hessian)
                linear[name].weight.data = done[name].to_float()
    return done


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Matrices that read one input.

    Attributes:
        names: Of their modules.
        scope: The least that has to be run for it.
    """

    names: tuple[str, ...]
    scope: nn.Module


def _list_stages(
    graph: Graph, linear: Mapping[str, nn.Linear], batch: Mapping[str, Tensor]
) -> list[_Stage]:
    """Returns the matrices in the order in which an input passes them for the first time."""
    names: dict[nn.Module, str] = {module: name for name, module in linear.items()}
    scopes = _find_scopes(graph)
    order: dict[str, Tensor] = {}  # which keeps the inputs, so that no two have one identity

    def note(module: nn.Module, given: Tensor) -> None:
        order.setdefault(names[module], given)

    with watched(linear.values(), note):
        run(graph, batch)
    stages = groupby(order, lambda name: (id(order[name]), id(scopes.get(linear[name], graph))))
    return [
        _Stage(names=tuple(stage), scope=scopes.get(linear[stage[0]], graph))
        for stage in (list(same) for _, same in stages)
    ]


def _find_scopes(graph: Graph) -> dict[nn.Module, nn.Module]:
    """Returns the layer that each module is in, for layers that run once and can be run alone."""
    model = graph.encoder_model
    assert isinstance(model, Model), "models of other libraries are not exported"
    encoder = model.encoder
    if len(encoder.order) > len(encoder.layers):
        return {}
    layers = [
        part
        for layer in encoder.layers
        for part in (layer if isinstance(layer, nn.ModuleList) else [layer])
    ]
    return {module: layer for layer in layers for module in layer.modules()}


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A module, called as it is within a run of the model.

    Attributes:
        module: What is called.
        args: What it is given.
        kwargs: The same, by name.
        mask: Which tokens are real, (rows, sequence).
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    mask: Tensor

    @classmethod
    def record(cls, module: nn.Module, graph: Graph, batch: Mapping[str, Tensor]) -> _Call:
        """Returns what a run of the model gives a module, and goes no further than that."""
        found: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []

        def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            found.append((args, kwargs))
            raise _ReachedError

        hook = module.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            run(graph, batch)
        except _ReachedError:
            pass
        finally:
            hook.remove()
        args, kwargs = found[0]
        return cls(module=module, args=args, kwargs=kwargs, mask=find_mask(batch))

    def repeat(self) -> None:
        """Calls the module once more."""
        self.module(*self.args, **self.kwargs)


class _ReachedError(Exception):
    """Ends a run of the model where nothing after it is of use."""


def _measure_hessians(modules: Sequence[nn.Linear], calls: Sequence[_Call]) -> list[Tensor]:
    """Returns for each module the sum over its inputs of each times itself.

    Shape:
        result: (inputs, inputs) each, float64.
    """
    sums: dict[nn.Module, Tensor] = {
        module: torch.zeros(1, dtype=torch.float64) for module in modules
    }
    last: tuple[Tensor, Tensor] | None = None  # modules that share an input come one after another

    def add(mask: Tensor, module: nn.Module, given: Tensor) -> None:
        nonlocal last
        if last is None or last[0] is not given:
            vectors = take_real(given, mask)
            last = given, vectors.T @ vectors
        sums[module] = sums[module] + last[1]

    for call in calls:
        with watched(modules, partial(add, call.mask)):
            call.repeat()
    return [sums[module] for module in modules]
