"""What a file holds is what we say that it holds, and the runtime multiplies by exactly that."""

import copy
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_models import calibration_of, make_graph
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from limbeck.export import (
    _onnx,
    _onnx_smooth,
    find_role,
    list_modules,
    load_target,
)
from limbeck.export._gptq import round_layers
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph():
    return make_graph("bert", SEQUENCE_CLASSIFICATION)


@pytest.fixture(scope="module")
def written(graph, tmp_path_factory):
    """What each target has written, read back, and where."""
    folder, found = tmp_path_factory.mktemp("written"), {}
    for name in ("onnx_int8", "onnx_int8_static", "onnx_int4", "onnx_int4_gptq", "onnx_int2"):
        target = load_target(name)
        files = target.write(graph, folder / name, calibration=calibration_of(graph)).files
        found[name] = folder / name / files[0]
    return found


def run_steps(nodes, tensors, inputs, shape):
    """What ONNX Runtime makes of some steps, the last of which gives `result`."""
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in inputs.items()
    ]
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(nodes, "steps", values, [result], tensors),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["result"], inputs)[0]


def multiplied_by(node, tensors):
    """The weight that ONNX Runtime multiplies by, (outputs, inputs)."""
    own = copy.deepcopy(node)
    del own.attribute[:]
    own.attribute.extend(each for each in node.attribute if each.name != "accuracy_level")
    own.input[0], own.output[0] = "given", "result"
    values = {each.name: each.i for each in node.attribute}
    identity = np.eye(values["K"], dtype=np.float32)
    used = [tensors[name] for name in node.input[1:]]
    return run_steps([own], used, {"given": identity}, [values["K"], values["N"]]).T


def looked_up(node, tensors):
    """All rows that ONNX Runtime finds in a table."""
    own = copy.deepcopy(node)
    own.input[1], own.output[0] = "given", "result"
    rows, columns = tensors[node.input[0]].dims
    used = [tensors[name] for name in (node.input[0], *node.input[2:])]
    return run_steps([own], used, {"given": np.arange(rows)}, [rows, columns])


def rounded_by_gptq(graph):
    return round_layers(graph, calibration_of(graph), narrowing=load_target("onnx_int4"))


def bits(array):
    assert array.dtype == np.float32
    return np.ascontiguousarray(array + 0.0).tobytes()  # of the two zeros, which are equal, one


def sorted_by_bits(arrays):
    return sorted(map(bits, arrays))


def weights_of(graph, kind):
    return [m.weight.data for m in list_modules(graph).values() if isinstance(m, kind)]


def read(path):
    model = onnx.load(path)
    return model, {tensor.name: tensor for tensor in model.graph.initializer}


@pytest.mark.parametrize("name", ["onnx_int4", "onnx_int4_gptq", "onnx_int2"])
def test_int4_multiplies_by_our_numbers(name, graph, written):
    model, tensors = read(written[name])
    products = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    if name != "onnx_int4_gptq":
        ours = [load_target(name).narrow(weight) for weight in weights_of(graph, nn.Linear)]
    else:
        ours = [
            blocks.to_float()
            for blocks in round_layers(
                graph, calibration_of(graph), narrowing=load_target("onnx_int4")
            ).values()
        ]
    theirs = [multiplied_by(node, tensors) for node in products]
    assert sorted_by_bits(theirs) == sorted_by_bits(weight.numpy() for weight in ours)
    (words,) = (node for node in model.graph.node if node.op_type == "GatherBlockQuantized")
    table = graph.model.encoder.embeddings.word.weight.data
    expected = load_target(name).narrow(table, role="words").numpy()
    assert bits(looked_up(words, tensors)) == bits(expected)


@pytest.mark.parametrize("name", ["onnx_int4", "onnx_int4_gptq"])
def test_int4_computes_what_torch_does_with_our_numbers(name, graph, written):
    narrow = copy.deepcopy(graph)
    rounded = rounded_by_gptq(graph) if name == "onnx_int4_gptq" else {}
    for place, module in list_modules(narrow).items():
        weight, role = module.weight.data, find_role(narrow, module)
        is_rounded = place in rounded
        module.weight.data = (
            rounded[place].to_float()
            if is_rounded
            else load_target("onnx_int4").narrow(weight, role=role)
        )
    model, _ = read(written[name])
    for node in model.graph.node:  # in float, where inputs of products are else brought to int8
        for each in [each for each in node.attribute if each.name == "accuracy_level"]:
            each.i = 1
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for batch in calibration_of(graph):
        given = session.run(None, {n: t.numpy() for n, t in batch.items()})[0]
        with torch.no_grad():
            expected = narrow(*batch.values())[0].numpy()
        np.testing.assert_allclose(given, expected, atol=2e-5 * np.abs(expected).max())


def dequantised(tensors):
    """The weights in int8 as ONNX Runtime makes floats of them, (outputs, inputs)."""
    for name, tensor in tensors.items():
        stem = name.removesuffix("_quantized")
        if stem == name or tensor.data_type != TensorProto.INT8:
            continue
        used = [tensor, tensors[f"{stem}_scale"], tensors[f"{stem}_zero_point"]]
        # A square one does not tell which axis is the outputs'.
        for axis in (axis for axis in (0, 1) if tensor.dims[axis] == used[1].dims[0]):
            step = helper.make_node(
                "DequantizeLinear", [part.name for part in used], ["result"], axis=axis
            )
            given = run_steps([step], used, {}, list(tensor.dims))
            yield np.ascontiguousarray(given if axis == 0 else given.T)


@pytest.mark.parametrize("name", ["onnx_int8", "onnx_int8_static"])
def test_int8_holds_our_numbers(name, graph, written):
    _, tensors = read(written[name])
    smoothed, target = _onnx.trace(graph), load_target(name)
    if name == "onnx_int8_static":
        _onnx_smooth.smooth(smoothed, _onnx_smooth.measure_peaks(graph, calibration_of(graph)))
    initial = {tensor.name: tensor for tensor in smoothed.graph.initializer}
    found = {bits(array) for array in dequantised(tensors)}
    products = [node for node in smoothed.graph.node if node.op_type in ("MatMul", "Gemm")]
    assert len(products) == len(weights_of(graph, nn.Linear))
    for node in products:
        values = torch.from_numpy(numpy_helper.to_array(initial[node.input[1]]).copy())
        weight = values if node.op_type == "Gemm" else values.T
        assert bits(target.narrow(weight).numpy()) in found, node.name
    tables = {n.removesuffix("_int8"): t for n, t in tensors.items() if n.endswith("_int8")}
    assert len(tables) == len(weights_of(graph, nn.Embedding))
    for weight in weights_of(graph, nn.Embedding):
        rows = target.narrow(weight, role="table").numpy()
        assert any(
            np.array_equal(
                numpy_helper.to_array(numbers) * numpy_helper.to_array(tensors[f"{stem}_scales"]),
                rows,
            )
            for stem, numbers in tables.items()
        )


def test_smoothing_changes_nothing_in_float(graph):
    model, batches = _onnx.trace(graph), calibration_of(graph)
    smoothed = _onnx.trace(graph)
    kept = _onnx.nodes_of(smoothed, graph, ["encoder.layers.0"])
    peaks = _onnx_smooth.measure_peaks(graph, batches)
    _onnx_smooth.smooth(smoothed, peaks, exclude=kept)
    divided = [node for node in smoothed.graph.node if node.name.endswith("_divided")]
    assert len(divided) == 4  # for queries, keys and values together, and three more
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    before, after = (
        onnxruntime.InferenceSession(each.SerializeToString(), options)
        for each in (model, smoothed)
    )
    for batch in batches:
        inputs = {name: tensor.numpy() for name, tensor in batch.items()}
        (own,), (given,) = before.run(None, inputs), after.run(None, inputs)
        np.testing.assert_array_equal(given, own)


def test_powers_move_outliers_from_inputs_to_weights():
    peak = np.array([64, 1, 1 / 64, 0], dtype=np.float32)
    weight = np.ones((4, 3), dtype=np.float32)
    assert _onnx_smooth.choose_powers(peak, [weight, weight]).tolist() == [3, 0, -3, 0]


def test_weights_of_several_inputs_are_not_smoothed():
    graph = make_graph("albert", SEQUENCE_CLASSIFICATION, num_hidden_groups=1, inner_group_num=1)
    model = _onnx.trace(graph)
    before = {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
    readers = Counter(node.input[1] for node in model.graph.node if node.op_type == "MatMul")
    shared = {name for name, count in readers.items() if count > 1 and name in before}
    assert shared
    _onnx_smooth.smooth(model, _onnx_smooth.measure_peaks(graph, calibration_of(graph)))
    after = {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
    assert {name: before[name] for name in shared} == {name: after[name] for name in shared}
