"""What ONNX files carry: names of modules, one trace for many files, settings that are said."""

import numpy as np
import onnx
import onnx.reference
import pytest
from exported_models import calibration_of, make_graph, make_sentence_graph

from limbeck.errors import ExportError
from limbeck.export import Graph, _onnx, _onnx_int8, load_target
from limbeck.methods import apply_methods
from limbeck.models._kinds import MASKED_LM, SEQUENCE_CLASSIFICATION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph():
    return make_graph("bert", SEQUENCE_CLASSIFICATION)


def test_nodes_are_found_by_the_names_of_modules(graph):
    model = _onnx.trace(graph)
    named = {node.name: node for node in model.graph.node}
    query = _onnx.nodes_of(model, graph, ["encoder.layers.1.attention.query"])
    assert [named[name].op_type for name in query].count("MatMul") == 1
    layer = _onnx.nodes_of(model, graph, ["encoder.layers.1"])
    assert set(query) < set(layer)
    assert [named[name].op_type for name in layer].count("LayerNormalization") == 2
    assert not {*layer} & {*_onnx.nodes_of(model, graph, ["encoder.layers.0"])}
    words = _onnx.nodes_of(model, graph, ["encoder.embeddings.word"])
    assert "Gather" in [named[name].op_type for name in words]
    with pytest.raises(
        ExportError,
        match=r"'encoder\.layers\.7'.*accepted: encoder.*Did you mean 'encoder\.layers\.1'",
    ):
        _onnx.nodes_of(model, graph, ["encoder.layers.7"])


def test_attention_is_one_step_and_nothing_tells_of_the_machine(graph, tmp_path):
    written = load_target("onnx").write(graph, tmp_path)
    model = onnx.load(tmp_path / written.files[0])
    steps = [node.op_type for node in model.graph.node]
    assert steps.count("Attention") == graph.config.num_hidden_layers
    assert not {"Softmax", "Erf"} & {*steps}
    assert [each.version for each in model.opset_import if not each.domain] == [_onnx.OPSET]
    assert b"limbeck/nn" not in (tmp_path / written.files[0]).read_bytes()
    assert [value.name for value in model.graph.input] == list(graph.input_names)
    assert [value.name for value in model.graph.output] == list(graph.output_names)
    axes = [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch_size", "sequence_length"]


def types_of_weights(path):
    return {
        tensor.name: tensor.data_type
        for tensor in onnx.load(path).graph.initializer
        if len(tensor.dims) == 2 and min(tensor.dims) > 1
    }


def test_int8_holds_all_weights_and_tables_but_what_is_kept(graph, tmp_path):
    target = load_target("onnx_int8")
    whole = target.write(graph, tmp_path / "whole")
    types = types_of_weights(tmp_path / "whole" / whole.files[0])
    assert {*types.values()} == {onnx.TensorProto.INT8}
    kept = ["encoder.layers.1.feed_forward", "encoder.embeddings.word"]
    written = target.write(graph, tmp_path / "kept", keep_float=kept)
    types = types_of_weights(tmp_path / "kept" / written.files[0])
    assert [*types.values()].count(onnx.TensorProto.FLOAT) == 3
    assert written.options["kept_in_float"] == kept
    assert "7 bits" in written.options["weights"]


@pytest.mark.parametrize("name", ["onnx_int8", "onnx_int8_static", "onnx_int4", "onnx_int4_gptq"])
def test_a_head_that_shares_the_table_of_words_is_narrowed_too(name, tmp_path):
    graph = make_graph("bert", MASKED_LM)
    written = load_target(name).write(graph, tmp_path, calibration=calibration_of(graph))
    types = types_of_weights(tmp_path / written.files[0])
    assert onnx.TensorProto.FLOAT not in types.values()


def test_fp16_takes_and_gives_what_fp32_does(graph, tmp_path):
    written = load_target("onnx_fp16").write(graph, tmp_path)
    path = tmp_path / written.files[0]
    assert {*types_of_weights(path).values()} == {onnx.TensorProto.FLOAT16}
    model = onnx.load(path)
    types = [each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)]
    assert types == [onnx.TensorProto.INT64] * 3 + [onnx.TensorProto.FLOAT]
    floats = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert all(np.isfinite(array).all() for array in floats)


def test_sentence_models_give_what_optimum_looks_for():
    # Its ORTModelForFeatureExtraction reads this name and no other; sentence-transformers runs it.
    assert make_sentence_graph().output_names == ("last_hidden_state", "sentence_embedding")


def test_int4_holds_weights_and_words_in_blocks(graph, tmp_path):
    written = load_target("onnx_int4").write(graph, tmp_path, keep_float=["encoder.layers.0"])
    model = onnx.load(tmp_path / written.files[0])
    steps = [node.op_type for node in model.graph.node]
    assert (steps.count("MatMulNBits"), steps.count("Gemm"), steps.count("MatMul")) == (8, 0, 6)
    assert steps.count("GatherBlockQuantized") == 1
    types = {*types_of_weights(tmp_path / written.files[0]).values()}
    assert types == {onnx.TensorProto.UINT4, onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}


def test_static_int8_takes_ranges_from_texts(graph, tmp_path):
    target = load_target("onnx_int8_static")
    with pytest.raises(ExportError, match=r"onnx-int8-static .*\(0 batches .*accepted: texts"):
        target.write(graph, tmp_path / "none")
    batches = calibration_of(graph)
    written = target.write(graph, tmp_path, calibration=batches)
    assert f"of {len(batches)} batches" in written.options["activations"]
    steps = [node.op_type for node in onnx.load(tmp_path / written.files[0]).graph.node]
    assert "QuantizeLinear" in steps
    assert "DynamicQuantizeLinear" not in steps


def test_rows_of_tables_keep_their_own_scale():
    table = onnx.numpy_helper.from_array(TABLE, "table")
    ids, rows = (
        onnx.helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("ids", onnx.TensorProto.INT64), ("rows", onnx.TensorProto.FLOAT))
    )
    step = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"], "look_up")
    model = onnx.helper.make_model(
        onnx.helper.make_graph([step], "rows", [ids], [rows], [table]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
    )
    _onnx_int8.quantize_tables(model)
    given = onnx.reference.ReferenceEvaluator(model).run(None, {"ids": np.array([2, 0, 1])})[0]
    half_a_step = np.array([[0], [2e-3], [1000]]) / 254 * 1.001
    assert (np.abs(given - TABLE[[2, 0, 1]]) <= half_a_step).all()


TABLE = np.array([[1e-3, -2e-3], [500, 1000], [0, 0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 fma", False), ("avx512f avx512_vnni", True), ("fp asimddp", True)],
)
def test_what_a_machine_multiplies(tmp_path, monkeypatch, flags, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(f"model name\t: X\nflags\t\t: {flags}\n")
    monkeypatch.setattr(_onnx_int8, "CPU_INFO", path)
    assert _onnx_int8.has_vnni() is expected
    monkeypatch.setattr(_onnx_int8, "CPU_INFO", tmp_path / "none")
    assert _onnx_int8.has_vnni() is None


def test_a_model_is_traced_once_until_its_weights_change(graph, monkeypatch):
    traces = []
    monkeypatch.setattr(_onnx, "_trace", lambda graph: traces.append(graph) or real(graph))
    real = _trace_of_nothing
    weight = next(graph.parameters())
    weight.data = weight.data.clone()
    first = _onnx.trace(graph)
    first.graph.Clear()  # what is given is the caller's own
    assert _onnx.trace(graph).graph.name == "nothing"
    assert len(traces) == 1
    weight.data = weight.data.clone()
    _onnx.trace(graph)
    assert len(traces) == 2
    weight.data = weight.data.clone()  # nobody else is to be given nothing


def _trace_of_nothing(graph):
    return onnx.helper.make_model(onnx.helper.make_graph([], "nothing", [], []))


@pytest.mark.parametrize("name", ["onnx", "onnx_int8", "onnx_int4"])
def test_a_factorised_table_stays_in_its_factors(name, tmp_path):
    """Nothing multiplies them beforehand, not for the head either; the table is narrowed as any."""
    step = {"method": "factorise_embeddings", "rank": 3}
    graph = Graph(apply_methods(make_graph("bert", MASKED_LM).model, [step]))
    written = load_target(name).write(graph, tmp_path)
    words, width = graph.config.vocab_size, graph.config.hidden_size
    weights = onnx.load(tmp_path / written.files[0]).graph.initializer
    shapes = [tuple(tensor.dims) for tensor in weights]
    assert (words, width) not in shapes
    assert (width, words) not in shapes
    (table,) = [tensor for tensor in weights if tuple(tensor.dims) == (words, 3)]
    kinds = onnx.TensorProto
    narrow = {"onnx": kinds.FLOAT, "onnx_int8": kinds.INT8, "onnx_int4": kinds.UINT4}
    assert table.data_type == narrow[name]
