"""An exported folder holds the model, and all that its users need beside it."""

import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from pipeline_models import write_model

from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError, ExportError, MissingExtraError, SettingsError
from limbeck.export import load_graph, load_target, write_export
from limbeck.tokenizers import AutoTokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    source = write_model(folder / "source", model_type="distilbert")
    info = write_export(source, folder / "onnx", load_target("onnx"))
    return SimpleNamespace(source=source, folder=folder / "onnx", info=info)


def test_runs_without_limbeck_as_torch_does(exported):
    graph = load_graph(exported.source)
    session = onnxruntime.InferenceSession(exported.folder / "onnx/model.onnx")
    for rows, tokens in ((1, 5), (3, 64)):
        inputs = graph.example(rows=rows, tokens=tokens)
        given = session.run(
            list(exported.info.outputs),
            {n: t.numpy() for n, t in zip(exported.info.inputs, inputs, strict=True)},
        )
        with torch.no_grad():
            np.testing.assert_allclose(given[0], graph(*inputs)[0].numpy(), atol=1e-5, rtol=0)


def test_says_what_it_is(exported):
    info = ExportInfo.read(exported.folder)
    assert info == exported.info
    assert (info.target, info.engine, info.precision) == ("onnx", "onnxruntime", "fp32")
    assert (info.kind, info.outputs) == ("sequence_classification", ("logits",))
    assert info.changed_file(exported.folder) is None


def test_keeps_the_tokenizer(exported):
    texts = "a gorgeous movie"
    given, expected = map(AutoTokenizer.from_pretrained, (exported.folder, exported.source))
    assert given(texts)["input_ids"] == expected(texts)["input_ids"]


def test_notices_a_changed_file(exported, tmp_path):
    info = write_export(exported.source, tmp_path / "onnx", load_target("onnx"))
    path = tmp_path / "onnx/onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert info.changed_file(tmp_path / "onnx") == "onnx/model.onnx"


def test_target_that_is_none():
    with pytest.raises(SettingsError, match=r"no 'onxx' among the targets; .*mean 'onnx'"):
        load_target("onxx")


def test_refused_model_and_missing_package(exported, monkeypatch):
    graph, target = load_graph(exported.source), load_target("onnx")
    monkeypatch.setattr(type(target), "packages", ("no_such_package",))
    with pytest.raises(MissingExtraError, match=r'pip install "limbeck\[onnx\]"'):
        target.check(graph)
    monkeypatch.setattr(type(target), "refuse", lambda self, graph: "it is too small")
    expected = "DistilBertForSequenceClassification can't be exported to onnx: it is too small"
    with pytest.raises(ExportError, match=expected):
        target.check(graph)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("name", ["onnx", "onnx_int8", "openvino", "torch_export"])
def test_a_disk_that_is_full_is_one_clear_error(name, tmp_path):
    """Libraries end the process or say something of streams."""
    import resource

    source = write_model(tmp_path / "source", hidden_size=64, intermediate_size=128)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, most[1]))
    try:
        with pytest.raises(CheckpointError, match=r"can't write .*out.* \(?ulimit -f\)"):
            write_export(source, tmp_path / "out", load_target(name))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
