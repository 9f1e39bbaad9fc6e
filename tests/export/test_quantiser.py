"""Weights trained as a file holds them: straight gradients, and the same grid in the file."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from exported_models import calibration_of, make_graph, run_onnx, write_source
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from limbeck import listing
from limbeck.errors import SettingsError
from limbeck.export import (
    Graph,
    Quantiser,
    find_role,
    find_trained_grid,
    is_on_grid,
    list_modules,
    load_target,
    require_quantisable,
    write_export,
)
from limbeck.export._blocks import narrow_input, round_to_nearest
from limbeck.export._quantiser import NarrowedEmbedding, NarrowedLinear
from limbeck.export._ternary import SIZE, ternarise
from limbeck.methods import apply_methods
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.train import build_adamw

TARGETS = ("onnx_int8", "onnx_int4", "onnx_int2")


def plain_graph(**changes):
    return make_graph("bert", SEQUENCE_CLASSIFICATION, **changes)


def quantised_model(name, **options):
    model = copy.deepcopy(plain_graph().model)
    return model, Quantiser(model, load_target(name), **options)


def train(model, batches):
    optimizer = build_adamw([model], learning_rate=1e-2)
    for batch in batches:
        labels = torch.arange(len(batch["input_ids"])) % 3
        optimizer.zero_grad()
        F.cross_entropy(model.train()(**batch).logits, labels).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("name", TARGETS)
def test_gradients_pass_straight(name):
    """dL/dW = dL/dW' and dL/dx = dL/dx', with both as the format has them."""
    target, generator = load_target(name), torch.Generator().manual_seed(0)
    plain = nn.Linear(70, 5).double()
    layer = NarrowedLinear(plain, target, narrows_inputs=True)
    given = torch.randn(4, 70, generator=generator, dtype=torch.float64, requires_grad=True)
    told = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    output = layer(given)
    (output * told).sum().backward()
    inputs, weight = target.narrow_input(given.detach()), target.narrow(plain.weight.detach())
    assert torch.equal(output, F.linear(inputs, weight, plain.bias))
    torch.testing.assert_close(plain.weight.grad, told.T @ inputs)
    torch.testing.assert_close(given.grad, told @ weight)
    torch.testing.assert_close(plain.bias.grad, told.sum(0))
    ids = torch.tensor([[1, 2], [2, 0]])
    table = nn.Embedding(6, 70, padding_idx=0).double()
    rows = NarrowedEmbedding(table, target, role="words")(ids)
    assert torch.equal(rows, target.narrow(table.weight.detach(), role="words")[ids])
    rows.backward(torch.ones_like(rows))
    expected = torch.tensor([0.0, 1, 2, 0, 0, 0]).double()[:, None].expand(-1, 70)
    assert torch.equal(table.weight.grad, expected)


def test_inputs_in_float_where_that_is_asked_for():
    target, plain = load_target("onnx_int4"), nn.Linear(40, 3)
    given = torch.randn(2, 40)
    found = NarrowedLinear(plain, target, narrows_inputs=False)(given)
    assert torch.equal(found, F.linear(given, target.narrow(plain.weight.detach()), plain.bias))


@given(rows=st.integers(1, 3), columns=st.integers(1, 200), seed=st.integers(0, 2**16))
def test_three_values_by_the_formulas(rows, columns, seed):
    weight = torch.from_numpy(
        np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    )
    found = ternarise(weight).to_float()
    for row in range(rows):
        for start in range(0, columns, SIZE):
            block = weight[row, start : start + SIZE].double().numpy()
            bound = 0.7 * np.abs(block).mean()
            kept = np.abs(block) > bound
            size = np.abs(block[kept]).mean()
            expected = np.sign(block) * kept * size
            np.testing.assert_allclose(found[row, start : start + SIZE], expected, rtol=1e-6)


def test_the_size_of_three_values_is_the_best_for_those_that_stay():
    weight = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(3))
    found = ternarise(weight).to_float()
    size = found.abs().max()
    for other in (size * 0.98, size * 1.02):
        assert (found - weight).square().sum() < (found.sign() * other - weight).square().sum()


@pytest.mark.parametrize("name", TARGETS)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 150)),
    seed=st.integers(0, 2**16),
    role=st.sampled_from(["matrix", "words", "table"]),
)
def test_what_is_narrow_is_narrowed_to_itself(name, shape, seed, role):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    target = load_target(name)
    once = target.narrow(weight, role=role)
    torch.testing.assert_close(target.narrow(once, role=role), once, rtol=1e-6, atol=1e-7)


def test_inputs_are_bytes_in_blocks():
    given = torch.tensor([[[1.0, -0.5, *[0.0] * 30, 100.0, 0.3]]])
    expected = [1.0, -64 / 127, *[0.0] * 30, 100.0, 0.0]  # 63.5 is rounded to an even number
    torch.testing.assert_close(narrow_input(given), torch.tensor([[expected]]))
    assert torch.equal(narrow_input(torch.zeros(2, 40)), torch.zeros(2, 40))


def test_inputs_have_one_range_for_all_where_the_runtime_finds_it():
    given = torch.tensor([[-1.0, 0.0, 0.4], [1.55, 0.013, -0.5]])
    step = 2.55 / 255
    torch.testing.assert_close(
        load_target("onnx_int8").narrow_input(given),
        torch.tensor([[-1.0, 0.0, 0.4], [1.55, 0.01, -0.5]]),
        rtol=0,
        atol=step / 1e4,
    )
    ends = torch.tensor([-0.5, 254.5])  # either end is half a step off: 0 is the whole number 0
    assert load_target("onnx_int8").narrow_input(ends).tolist() == [0.0, 254.0]


@pytest.mark.parametrize("bits", [4, 8])
def test_more_bits_are_nearer(bits):
    weight = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    missed = (round_to_nearest(weight, bits=bits).to_float() - weight).abs().max()
    spread = weight.amax() - weight.amin()
    assert missed <= spread / (2**bits - 1) / 2 * 1.001


@pytest.mark.parametrize("name", TARGETS)
def test_names_are_those_of_the_plain_model_and_so_is_what_comes_of_it(name):
    model, quantiser = quantised_model(name)
    assert model.state_dict().keys() == plain_graph().model.state_dict().keys()
    again = Quantiser(model, load_target(name))  # a later phase finds them narrow
    linear = [m for m in model.modules() if isinstance(m, NarrowedLinear)]
    assert all(not isinstance(child, nn.Linear) for m in linear for child in m.children())
    folded = quantiser.fold()
    assert not [m for m in folded.modules() if isinstance(m, NarrowedLinear | NarrowedEmbedding)]
    for one, other in zip(folded.parameters(), again.fold().parameters(), strict=True):
        assert torch.equal(one, other)
    free, _ = quantised_model(name, narrows_inputs=False)
    for batch in calibration_of(plain_graph()):
        with torch.no_grad():
            expected = free.eval()(**batch).logits
            torch.testing.assert_close(folded.eval()(**batch).logits, expected)


def test_a_grid_is_found_and_so_are_all_that_keep_it():
    graph = copy.deepcopy(plain_graph())  # which other tests share
    assert find_trained_grid(graph) is None
    for module in graph.model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = load_target("onnx_int8").narrow(module.weight.data)
    assert find_trained_grid(graph) == "onnx_int8"
    kept = [n for n in listing.list_names("limbeck.export") if is_on_grid(graph, load_target(n))]
    assert {"onnx_int8", "onnx_int8_static", "web"} <= {*kept}  # which write the same numbers
    assert not {"onnx_int4", "onnx_int2", "sparse"} & {*kept}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_the_file_holds_the_trained_grid_and_computes_as_it_was_trained(name, tmp_path):
    model, quantiser = quantised_model(name)
    batches = calibration_of(plain_graph())
    train(model, batches * 2)
    target, folded = load_target(name), quantiser.fold()
    graph = Graph(folded)
    for place, module in list_modules(graph).items():
        held = target.narrow(module.weight.data, role=find_role(graph, module))
        assert torch.equal(held, module.weight.data), place
    source = write_source(graph, tmp_path / "source")
    info = write_export(source, tmp_path / "exported", target)
    run = run_onnx(tmp_path / "exported", info)
    for batch in batches:
        with torch.no_grad():
            expected = model(**batch).logits.numpy()
        found = run({name: tensor.numpy() for name, tensor in batch.items()})["logits"]
        # An input at the border of two whole numbers may fall to either.
        np.testing.assert_allclose(found, expected, atol=2e-2 * np.abs(expected).max())


def test_a_table_in_two_factors_is_refused():
    steps = [{"method": "factorise_embeddings", "rank": 4}]
    model = apply_methods(plain_graph().model, steps)
    with pytest.raises(
        SettingsError, match=r"this BertForSequenceClassification .*embedding_rank = 4.*whole one"
    ):
        require_quantisable(model)
    require_quantisable(plain_graph().model)
