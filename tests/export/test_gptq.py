"""GPTQ: the numbers of a plain implementation, never worse than rounding, in the order of a run."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from exported_models import calibration_of, make_graph, make_sentence_graph
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from limbeck.export import find_role, load_target
from limbeck.export._blocks import SIZE, find_grid, round_to_nearest
from limbeck.export._gptq import measure_misses, round_by_columns, round_in_order
from limbeck.export._gptq import round_layers as round_any_layers
from limbeck.models._kinds import MULTIPLE_CHOICE, SEQUENCE_CLASSIFICATION


def draw(rows, columns, *, inputs=200, seed=0):
    """A matrix, and the Hessian of inputs that depend on each other, some much larger than most."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(columns, columns)) * generator.lognormal(size=columns)
    vectors = generator.normal(size=(inputs, columns)) @ mixing
    weight = generator.normal(size=(rows, columns)).astype(np.float32)
    return torch.from_numpy(weight), torch.from_numpy(vectors.T @ vectors)


def round_plainly(weight, hessian, scales, zeros, *, damping=0.01):
    """Algorithm 1 as its equations have it: one column, one update, the inverse made smaller."""
    weight = weight.astype(np.float64)
    sizes = np.diag(hessian).copy()
    inverse = np.linalg.inv(hessian + damping * sizes.mean() * np.eye(len(sizes)))
    numbers = np.zeros(weight.shape, dtype=int)
    for column in np.argsort(-sizes, kind="stable"):
        block = column // SIZE
        scale, zero = scales[:, block].astype(np.float64), zeros[:, block].astype(int)
        numbers[:, column] = np.clip(np.rint(weight[:, column] / scale) + zero, 0, 15)
        missed = weight[:, column] - scale * (numbers[:, column] - zero)
        weight -= np.outer(missed / inverse[column, column], inverse[column])
        inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    return numbers


@pytest.mark.parametrize("shape", [(3, 5), (6, 40), (4, 150), (2, 300)])
def test_numbers_are_those_of_a_plain_implementation(shape):
    weight, hessian = draw(*shape)
    grid = find_grid(weight, importance=hessian.diagonal())
    expected = round_plainly(
        weight.numpy(), hessian.numpy(), grid.scales.numpy(), grid.zeros.numpy()
    )
    assert (round_in_order(weight.double(), hessian, grid).numpy() == expected).all()


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 80)),
    inputs=st.integers(1, 40),
    seed=st.integers(0, 2**16),
)
def test_no_output_is_worse_than_rounded_to_nearest(shape, inputs, seed):
    weight, hessian = draw(*shape, inputs=inputs, seed=seed)
    own = measure_misses(round_by_columns(weight, hessian), weight.double(), hessian)
    nearest = measure_misses(round_to_nearest(weight), weight.double(), hessian)
    assert (own <= nearest * (1 + 1e-9) + 1e-12).all()


def test_it_loses_much_less_where_inputs_depend_on_each_other():
    weight, hessian = draw(64, 96)
    own = measure_misses(round_by_columns(weight, hessian), weight.double(), hessian).sum()
    nearest = measure_misses(round_to_nearest(weight), weight.double(), hessian).sum()
    assert own < 0.35 * nearest


def test_a_matrix_that_no_input_reaches_is_rounded_to_nearest():
    weight, _ = draw(4, 40)
    found, nearest = round_by_columns(weight, torch.zeros(40, 40)), round_to_nearest(weight)
    assert torch.equal(found.numbers, nearest.numbers)


def test_a_channel_without_inputs_changes_nothing():
    weight, hessian = draw(4, 40)
    hessian[7], hessian[:, 7] = 0, 0
    found = round_by_columns(weight, hessian)
    assert torch.isfinite(found.to_float()).all()


@pytest.mark.parametrize("values", [[0.0] * 40, [3.0] * 40, [-2.0] * 40, [1e-30, 5.0] * 20])
def test_grids_of_flat_rows_hold_them(values):
    weight = torch.tensor([values])
    rounded = round_to_nearest(weight).to_float()
    assert (rounded - weight).abs().max() <= weight.abs().max() * 2**-22


def test_a_row_is_cut_where_that_makes_its_error_less():
    weight, hessian = draw(16, 64)
    weight[:, 3] *= 8
    sizes = hessian.diagonal().clone()
    sizes[3] = 0  # the outlier is multiplied by nothing

    def miss(blocks):
        return ((blocks.to_float() - weight).square() * sizes).sum()

    assert miss(round_to_nearest(weight, importance=sizes)) < 0.8 * miss(round_to_nearest(weight))


INT4 = load_target("onnx_int4")
round_layers = partial(round_any_layers, narrowing=INT4)


@pytest.fixture(scope="module")
def graph():
    return make_graph("bert", SEQUENCE_CLASSIFICATION)


def linear_modules(graph):
    return {n: m for n, m in graph.model.named_modules() if isinstance(m, nn.Linear)}


def gather(graph, name, batches):
    """The Hessian of what a module is given, of tokens that are no padding."""
    vectors = []
    hook = linear_modules(graph)[name].register_forward_pre_hook(
        lambda module, args: vectors.append(args[0])
    )
    with torch.no_grad():
        for batch in batches:
            graph(*batch.values())
    hook.remove()
    rows = [
        row
        for given, batch in zip(vectors, batches, strict=True)
        for row in given[batch["attention_mask"].bool()].double()
    ]
    return sum(torch.outer(row, row) for row in rows)


def test_each_matrix_sees_what_rounded_ones_before_it_give(graph):
    batches = calibration_of(graph)
    found = round_layers(graph, batches)
    assert {*found} == {*linear_modules(graph)}
    order = [
        f"encoder.layers.{layer}.{part}"
        for layer in range(2)
        for part in ("attention.query", "attention.output", "feed_forward.up", "feed_forward.down")
    ]
    rounded = copy.deepcopy(graph)
    for module in rounded.model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data = INT4.narrow(module.weight.data, role=find_role(rounded, module))
    for name in order:
        module = linear_modules(rounded)[name]
        expected = round_by_columns(module.weight.data, gather(rounded, name, batches))
        assert torch.equal(expected.numbers, found[name].numbers), name
        for other, blocks in found.items():
            beside = name.replace("query", "key"), name.replace("query", "value")
            if other in (name, *beside):
                linear_modules(rounded)[other].weight.data = blocks.to_float()


def test_padding_changes_nothing(graph):
    batches = [
        {n: torch.nn.functional.pad(t, (0, 7)) for n, t in b.items()}
        for b in calibration_of(graph)[:2]
    ]
    longer, own = round_layers(graph, batches), round_layers(graph, calibration_of(graph)[:2])
    same = [torch.equal(longer[name].numbers, own[name].numbers) for name in own]
    assert all(same)


def test_the_model_stays_as_it_was_and_what_is_kept_is_left_out(graph):
    before = {name: tensor.clone() for name, tensor in graph.state_dict().items()}
    found = round_layers(graph, calibration_of(graph), keep=["encoder.layers.0"])
    assert not [name for name in found if name.startswith("encoder.layers.0.")]
    assert all(torch.equal(tensor, before[name]) for name, tensor in graph.state_dict().items())


def make_shared_graph():
    shared = {"num_hidden_groups": 1, "inner_group_num": 1}
    return make_graph("albert", SEQUENCE_CLASSIFICATION, **shared)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make_shared_graph, id="layers-run-twice"),
        pytest.param(lambda: make_graph("deberta_v2", SEQUENCE_CLASSIFICATION), id="distances"),
        pytest.param(lambda: make_graph("electra", MULTIPLE_CHOICE), id="choices"),
        pytest.param(make_sentence_graph, id="vectors"),
    ],
)
def test_every_matrix_of_every_model_is_rounded(make):
    graph = make()
    found, run = round_layers(graph, calibration_of(graph)), set()
    for name, module in linear_modules(graph).items():
        module.register_forward_pre_hook(lambda module, args, name=name: run.add(name))
    graph(*graph.example())
    assert {*found} == run
