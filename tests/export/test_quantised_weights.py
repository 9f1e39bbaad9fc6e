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
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from limbeck.export import (
    _onnx,
    _onnx_smooth,
    find_role,
    list_modules,
    load_target,
)
from limbeck.export._gptq import round_layers
from limbeck.export._onnx_smooth import Smoothing
from limbeck.export._simulation import measure_loss
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
    batches = calibration_of(graph)
    _onnx_smooth.smooth(smoothed, Smoothing.find(graph, batches))
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


@pytest.fixture(scope="module")
def with_outliers(graph):
    """A model whose layers are given one channel that is far wider than all others."""
    wide = copy.deepcopy(graph)
    for name, module in wide.model.named_modules():
        if name.endswith("attention_norm"):  # not what the head is given: it would see that alone
            module.weight.data[3] *= 40
    return wide


@pytest.mark.parametrize("strength", [None, 0.5, 0.7])
def test_smoothing_changes_nothing_in_float(graph, strength):
    model, batches = _onnx.trace(graph), calibration_of(graph)
    smoothed = _onnx.trace(graph)
    kept = _onnx.nodes_of(smoothed, graph, ["encoder.layers.0"])
    smoothing = Smoothing(peaks=_onnx_smooth.measure_peaks(graph, batches), strength=strength)
    _onnx_smooth.smooth(smoothed, smoothing, exclude=kept)
    divided = [node for node in smoothed.graph.node if node.name.endswith("_divided")]
    # For queries, keys and values together, and three more.
    assert len(divided) == (0 if strength is None else 4)
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
    peaks, weight = torch.tensor([64, 1, 1 / 64, 0]), torch.ones(4, 3)
    powers = _onnx_smooth.find_powers(peaks, [weight, weight], 0.5)
    assert powers.tolist() == [3, 0, -3, 0]
    assert not _onnx_smooth.find_powers(peaks, [weight], None).any()


def lost_in_runtime(graph, path, batches, strength):
    """What products in int8 lose after smoothing, as ONNX Runtime computes them."""
    model = _onnx.trace(graph)
    peaks = _onnx_smooth.measure_peaks(graph, batches)
    _onnx_smooth.smooth(model, Smoothing(peaks=peaks, strength=strength))
    _onnx.forget_notes(model)
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    session = onnxruntime.InferenceSession(path)
    given, exact = [], []
    for batch in batches:
        found = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
        given.append(tuple(map(torch.from_numpy, found)))
        with torch.no_grad():
            exact.append(graph(*batch.values()))
    return measure_loss(exact, given, batches)


def test_the_strength_is_the_one_that_loses_least_in_the_runtime(with_outliers, tmp_path):
    batches = calibration_of(with_outliers)
    peaks = _onnx_smooth.measure_peaks(with_outliers, batches)
    chosen = _onnx_smooth.choose_strength(with_outliers, peaks, batches)
    lost = {
        strength: lost_in_runtime(with_outliers, tmp_path / f"{strength}.onnx", batches, strength)
        for strength in (None, *_onnx_smooth._STRENGTHS)
    }
    assert chosen is not None
    assert lost[chosen] <= 1.2 * min(lost.values())  # rounded in torch, which is not to the bit
    assert lost[chosen] < 0.6 * lost[None]


def test_layers_that_stay_in_float_are_not_rounded(with_outliers):
    batches = calibration_of(with_outliers)
    peaks = _onnx_smooth.measure_peaks(with_outliers, batches)
    assert _onnx_smooth.choose_strength(with_outliers, peaks, batches) is not None
    every = ["encoder", "pooler", "head"]  # so that nothing is lost that moving outliers could save
    assert _onnx_smooth.choose_strength(with_outliers, peaks, batches, keep_float=every) is None


def test_outliers_that_were_found_are_not_looked_for_again(with_outliers, tmp_path, monkeypatch):
    target, batches = load_target("onnx_int8"), calibration_of(with_outliers)
    fitted = target.fit_to(with_outliers, batches)
    own = target.write(with_outliers, tmp_path / "own", calibration=batches)
    monkeypatch.delattr(_onnx_smooth, "measure_peaks")
    given = fitted.write(with_outliers, tmp_path / "given", calibration=batches)
    files = [tmp_path / name / given.files[0] for name in ("own", "given")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert own.options == given.options


def test_choosing_a_strength_leaves_the_model_as_it_is(with_outliers):
    batches = calibration_of(with_outliers)
    before = [tensor.clone() for tensor in with_outliers.model.state_dict().values()]
    peaks = _onnx_smooth.measure_peaks(with_outliers, batches)
    _onnx_smooth.choose_strength(with_outliers, peaks, batches)
    after = with_outliers.model.state_dict().values()
    assert all(torch.equal(own, given) for own, given in zip(before, after, strict=True))
    assert not any(module._forward_pre_hooks for module in with_outliers.model.modules())


def test_weights_that_int8_holds_already_are_left_as_they_are(with_outliers):
    narrowed, batches = copy.deepcopy(with_outliers), calibration_of(with_outliers)
    for module in narrowed.model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = load_target("onnx_int8").narrow(module.weight.data)
    peaks = _onnx_smooth.measure_peaks(narrowed, batches)
    assert _onnx_smooth.choose_strength(narrowed, peaks, batches) is None


def test_card_and_record_say_what_was_done_with_outliers(with_outliers, tmp_path):
    target, said = load_target("onnx_int8"), {}
    for name, texts in (("blind", ()), ("shown", calibration_of(with_outliers))):
        written = target.write(with_outliers, tmp_path / name, calibration=texts)
        said[name] = written.options["outliers"]
    assert said["blind"] == "left in the inputs of products"
    assert said["shown"].startswith("moved into the weights with a strength of 0.")


def test_weights_of_several_inputs_are_not_smoothed():
    graph = make_graph("albert", SEQUENCE_CLASSIFICATION, num_hidden_groups=1, inner_group_num=1)
    model = _onnx.trace(graph)
    before = {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
    readers = Counter(node.input[1] for node in model.graph.node if node.op_type == "MatMul")
    shared = {name for name, count in readers.items() if count > 1 and name in before}
    assert shared
    peaks = _onnx_smooth.measure_peaks(graph, calibration_of(graph))
    _onnx_smooth.smooth(model, Smoothing(peaks=peaks, strength=0.5))
    after = {tensor.name: tensor.SerializeToString() for tensor in model.graph.initializer}
    assert {name: before[name] for name in shared} == {name: after[name] for name in shared}
