"""What ONNX files carry: names of modules, one trace for many files, settings that are said."""

import pytest
from exported_models import make_graph

from limbeck.errors import ExportError
from limbeck.export import _onnx
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

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
    import onnx

    return onnx.helper.make_model(onnx.helper.make_graph([], "nothing", [], []))
