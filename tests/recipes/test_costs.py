"""What models would cost: counted, and fitted to a few that were timed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from limbeck import listing
from limbeck.export import Graph, load_target
from limbeck.models import AutoModelForSequenceClassification, find_architecture
from limbeck.recipes.compress.costs import Cost, CostModel
from limbeck.recipes.compress.costs.fit import fit_cost
from limbeck.recipes.compress.costs.shapes import Shape, count_shape
from limbeck.runs.costs import Probe

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_model(model_type="bert", **changes):
    architecture = find_architecture(model_type)
    values = {**SIZES, "intermediate_size": 32, **architecture.config_type.tiny_values, **changes}
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(
            architecture.config_type().replace(**values)
        )


def draw(seed, *, rows=12, columns=4, groups=4):
    random = np.random.default_rng(seed)
    features = random.uniform(0.1, 1, (rows, columns)) * 10.0 ** random.integers(-3, 9, columns)
    weights = random.uniform(0, 1, columns) / features.mean(axis=0)
    return features, weights, [row % groups for row in range(rows)]


@settings(deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_sum_of_features_is_found_again(seed):
    features, weights, groups = draw(seed)
    found = fit_cost(features, features @ weights, groups)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-5, atol=1e-9 * max(weights))
    assert found.error < 1e-5
    assert found.predict(features[0]) == pytest.approx(features[0] @ weights)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_a_fit_knows_no_unit_and_no_order(seed, scale):
    features, weights, groups = draw(seed)
    values = features @ weights * np.random.default_rng(seed).uniform(0.8, 1.2, len(features))
    found = fit_cost(features, values, groups)
    scaled = fit_cost(features[::-1], scale * values[::-1], groups[::-1])
    assert scaled.error == pytest.approx(found.error, rel=1e-6, abs=1e-9)
    for row in features:
        assert scaled.predict(row) == pytest.approx(scale * found.predict(row), rel=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_fit_is_the_best_that_is_not_negative(seed):
    features, weights, groups = draw(seed)
    values = features @ weights * np.random.default_rng(seed).uniform(0.5, 1.5, len(features))
    found = fit_cost(features, values, groups)
    scales = features.max(axis=0)
    oracle = lsq_linear(
        features / scales / values[:, None], np.ones(len(values)), bounds=(0, np.inf), tol=1e-14
    )
    off = features @ found.weights / values - 1
    assert min(found.weights) >= 0
    assert 0.5 * off @ off == pytest.approx(oracle.cost, rel=1e-5, abs=1e-12)


def test_the_error_is_that_on_what_was_left_out():
    features = [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]
    assert fit_cost(features, [2.0, 3.0, 4.0], [1, 2, 3]).error == pytest.approx(0, abs=1e-9)
    # Without the last, a line through the others tells 4 where 5 was measured.
    assert fit_cost(features, [2.0, 3.0, 5.0], [1, 2, 3]).error >= 0.2
    assert fit_cost(features, [2.0, 3.0, 4.0], [1, 1, 1]).error == 1.0


def test_operations_are_counted_as_the_architecture_has_them():
    tokens, width, inner, layers, labels = 7, 16, 32, 2, 2
    found = count_shape(make_model(), [tokens])
    of_layer = 2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width
    head = 2 * (width**2 + width * labels)  # of the first token
    assert found.flops == {tokens: layers * of_layer + head}


@pytest.mark.parametrize("model_type", listing.list_names("limbeck.models"))
def test_every_parameter_is_counted_once(model_type):
    if "sequence_classification" not in {k.name for k in find_architecture(model_type).kinds}:
        pytest.skip(f"{model_type} has no such head")
    model = make_model(model_type)
    found = count_shape(model, [4, 9])
    assert found.count_bytes("fp32") == 4 * model.num_parameters
    assert found.flops[4] < found.flops[9]
    assert found.num_layers == model.config.num_hidden_layers


def test_bytes_are_those_of_the_precision():
    shape = Shape(
        num_layers=1,
        matrices=((4, 64),),
        words=((20, 40),),
        tables=((10, 8),),
        num_others=3,
        flops={},
    )
    assert shape.count_bytes("fp32") == 4 * (256 + 800 + 80 + 3)
    assert shape.count_bytes("fp16") == 2 * (256 + 800 + 80 + 3)
    assert shape.count_bytes("int8") == (256 + 4 * 5) + 20 * (40 + 4) + 10 * (8 + 4) + 12
    assert shape.count_bytes("int4") == (128 + 4 * 2 * 4.5) + 20 * (20 + 2 * 4.5) + 10 * 12 + 12


@pytest.mark.slow
def test_what_a_file_has_beside_its_weights_depends_on_no_vocabulary(tmp_path):
    """Else the sizes of students with other tokenizers would be told by those of the teacher's."""
    beside: dict[str, list[float]] = {}
    for vocab_size in (60, 3000):
        config = make_model(vocab_size=vocab_size, hidden_size=32).config
        graph = Graph(AutoModelForSequenceClassification.from_config(config))
        shape = count_shape(graph.model, [])
        for target in map(load_target, ("onnx", "onnx_int8", "onnx_int4")):
            folder = tmp_path / f"{target.name}-{vocab_size}"
            (file,) = target.write(graph, folder).files
            rest = (folder / file).stat().st_size - shape.count_bytes(target.precision)
            beside.setdefault(target.name, []).append(rest)
    for name, (few, many) in beside.items():
        assert abs(many - few) < 1000, name  # of 105,840 more in int8, 60,270 in int4


def test_costs_of_what_was_not_timed_are_told():
    shapes = {
        str(n): Shape(
            num_layers=n,
            matrices=((100, 100),) * n,
            words=((1000, 100),),
            tables=(),
            num_others=0,
            flops={8: 1000 * n, 64: 9000 * n},
        )
        for n in (1, 2, 3, 6)
    }

    def probe(name, shape):
        layers = 0.25 + 0.1 * shape.num_layers
        return Probe(
            source=name,
            target="torch",
            file_bytes=int(shape.count_bytes("fp32")) + 500 + 20 * shape.num_layers,
            latencies_ms={n: layers + f / 1e4 for n, f in shape.flops.items()},
            noise=0.02,
            loaded_bytes=10**7 + 2 * int(shape.count_bytes("fp32")),
        )

    known = [probe(name, shapes[name]) for name in "126"]
    found = CostModel(known, shapes, [None]).predict(shapes["3"], None, 8)
    assert found.file_bytes.value == pytest.approx(4 * (30_000 + 100_000) + 560)
    assert found.latency_ms.value == pytest.approx(0.25 + 0.3 + 0.3)
    assert found.latency_ms.error == pytest.approx(0.02)  # no better than it was timed
    assert found.loaded_bytes.value == pytest.approx(10**7 + 2 * 520_000, rel=0.01)
    assert found.file_bytes.error == pytest.approx(0, abs=1e-6)
    alone = CostModel(known[:1], shapes, [None]).predict(shapes["3"], None, 8)
    assert alone.latency_ms.least == 0  # of one, nothing is told
    other = known[-1].model_copy(update={"file_bytes": known[-1].file_bytes + 50_000})
    off = CostModel([*known[:-1], other], shapes, [None]).predict(shapes["3"], None, 8)
    assert off.file_bytes.error >= 50_000 / other.file_bytes  # as the first two tell the third
    restless = [probe.model_copy(update={"noise": 4.06}) for probe in known]
    assert CostModel(restless, shapes, [None]).predict(shapes["3"], None, 8).latency_ms.error == 1
    assert math.isclose(Cost(value=10, error=0.2).least, 8)
