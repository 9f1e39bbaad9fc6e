"""OpenVINO's files: names, weights in full, who is told of the export; keep_float by names."""

import os
from pathlib import Path

import openvino_telemetry
import pytest
from exported_models import (
    calibration_of,
    make_graph,
    relative_difference,
    run_openvino,
    write_source,
)

from limbeck.errors import ExportError
from limbeck.export import _openvino, load_target, write_export
from limbeck.inference.engines.openvino import share_core
from limbeck.models._kinds import QUESTION_ANSWERING, SEQUENCE_CLASSIFICATION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph():
    return make_graph("bert", SEQUENCE_CLASSIFICATION)


@pytest.fixture(scope="module")
def network(graph):
    return _openvino.convert(graph)


def test_files_have_names_free_axes_and_all_digits(tmp_path):
    graph = make_graph("distilbert", QUESTION_ANSWERING)
    source = write_source(graph, tmp_path / "source")
    info = write_export(source, tmp_path / "out", load_target("openvino"), graph=graph)
    assert (info.engine, info.precision) == ("openvino", "fp32")
    assert list(info.files) == ["openvino/openvino_model.xml", "openvino/openvino_model.bin"]
    assert {"limbeck", "torch", "openvino"} <= set(info.made_with)
    network = share_core().read_model(tmp_path / "out" / next(iter(info.files)))
    assert [port.get_any_name() for port in network.inputs] == ["input_ids", "attention_mask"]
    assert [port.get_any_name() for port in network.outputs] == ["start_logits", "end_logits"]
    assert {str(port.get_partial_shape()) for port in network.inputs} == {"[?,?]"}
    weights = [step for step in network.get_ops() if step.get_type_name() == "Constant"]
    types = {step.get_element_type().to_string() for step in weights if len(step.data.shape) == 2}
    assert "f32" in types
    assert "f16" not in types


def test_steps_are_found_by_the_names_of_modules(graph, network):
    query = _openvino.steps_of(network, graph, ["encoder.layers.1.attention.query"])
    assert len([name for name in query if name.endswith("/MatMul")]) == 1
    layer = _openvino.steps_of(network, graph, ["encoder.layers.1"])
    assert set(query) < set(layer)
    assert len([name for name in layer if name.endswith("/MatMul")]) == 6
    assert not {*layer} & {*_openvino.steps_of(network, graph, ["encoder.layers.0"])}
    words = _openvino.steps_of(network, graph, ["encoder.embeddings.word"])
    assert any(name.endswith("/Gather") for name in words)
    with pytest.raises(ExportError, match=r"'encoder\.layers\.7'.*mean 'encoder\.layers\.1'"):
        _openvino.steps_of(network, graph, ["encoder.layers.7"])


def _count_int8(folder):
    network = share_core().read_model(folder / "openvino/openvino_model.xml")
    steps = [step for step in network.get_ops() if step.get_type_name() == "Constant"]
    return sum(step.data.size for step in steps if step.get_element_type().to_string() == "i8")


@pytest.mark.parametrize("has_texts", [True, False])
def test_int8_keeps_in_float_what_it_is_told(graph, tmp_path, has_texts, capfd):
    target, source = load_target("openvino_int8"), write_source(graph, tmp_path / "source")
    counts = {}
    for kept in ((), ("encoder.layers.1.feed_forward",)):
        folder = tmp_path / str(len(kept))
        info = write_export(
            source,
            folder,
            target,
            graph=graph,
            calibration=calibration_of(graph) if has_texts else (),
            keep_float=kept,
        )
        assert info.options["narrowed"].endswith("activations") == has_texts
        assert info.options["kept_in_float"] == list(kept)
        assert relative_difference(graph, run_openvino(folder, info)) <= target.tolerance
        counts[kept] = _count_int8(folder)
    layer = graph.model.encoder.layers[1].feed_forward
    assert counts[()] - counts[kept] == layer.up.weight.numel() + layer.down.weight.numel()
    assert "Statistics" not in capfd.readouterr().out
    with pytest.raises(ExportError, match=r"keep_float names the module 'encoder\.layer'"):
        target.write(graph, tmp_path, keep_float=("encoder.layer",))


@pytest.mark.parametrize("before", [None, "false"])
def test_nobody_is_told_of_an_export(graph, tmp_path, monkeypatch, before):
    monkeypatch.setenv("HOME", str(tmp_path))  # where OpenVINO looks for consent, and finds none
    if before is None:
        monkeypatch.delenv("CI", raising=False)
    else:
        monkeypatch.setenv("CI", before)
    sent = []
    send = openvino_telemetry.main.TelemetrySender.send
    monkeypatch.setattr(
        openvino_telemetry.main.TelemetrySender,
        "send",
        lambda self, *given: sent.append(given) or send(self, *given),
    )
    _openvino.convert(graph)
    assert not sent
    assert not list(Path(tmp_path).iterdir())
    assert os.environ.get("CI") == before
