"""A pruned model without its zeros: small, and the same model wherever Limbeck reads a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from exported_models import make_graph, make_sentence_graph, write_source

from limbeck import AutoModelForSequenceClassification, SentenceEncoder, pipeline
from limbeck.checkpoints import hash_model, read_tensors
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError, ExportError
from limbeck.export import load_graph, load_target, write_export
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.sparsity import Sparsifier, build_sparsity, measure_density

TARGET = load_target("sparse")


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """A folder of a model of which a tenth is left, and that of its export."""
    base = tmp_path_factory.mktemp("sparse")
    graph = make_graph("bert", SEQUENCE_CLASSIFICATION)
    write_source(graph, base / "dense")
    model = AutoModelForSequenceClassification.from_pretrained(base / "dense")
    settings = build_sparsity({"method": "magnitude", "density": 0.1})
    sparsifier = Sparsifier(model, settings, num_steps=1, seed=0)
    sparsifier.advance(1)
    source = write_source(load_graph(base / "dense"), base / "source")
    sparsifier.fold().save_pretrained(source)
    write_export(source, base / "sparse", TARGET)
    return source, base / "sparse"


def test_it_is_the_model_narrowed(pruned):
    source, folder = pruned
    given, found = read_tensors(source), read_tensors(folder)
    assert given.keys() == found.keys()
    for name, tensor in given.items():
        expected = TARGET.narrow(tensor) if tensor.ndim == 2 else tensor
        assert torch.equal(found[name], expected), name
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    dense = AutoModelForSequenceClassification.from_pretrained(source)
    assert measure_density(model) <= measure_density(dense) == pytest.approx(0.1, abs=0.01)
    size = (folder / "model.sparse.safetensors").stat().st_size
    assert size < 0.6 * (source / "model.safetensors").stat().st_size  # of which much is the header
    assert hash_model(folder) != hash_model(source)


def test_it_is_run_as_any_folder(pruned, tmp_path):
    source, folder = pruned
    texts = ["a gorgeous movie", "bad"]
    given, found = (pipeline("text-classification", model=f)(texts) for f in (source, folder))
    assert [one["label"] for one in found] == [one["label"] for one in given]
    info = ExportInfo.read(folder)
    assert (info.engine, info.target, info.precision) == ("torch", "sparse", "int8")
    assert info.options["not_zero"].endswith("% of all weights")
    AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path / "plain")
    again = read_tensors(tmp_path / "plain")
    assert all(torch.equal(again[n], tensor) for n, tensor in read_tensors(folder).items())


@pytest.mark.parametrize(
    ("family", "module", "tensor"),
    [
        ("bert", "encoder.layers.0.attention", "bert.encoder.layer.0.attention.self.query.weight"),
        ("gpt2", "encoder.layers.1.feed_forward.up", "transformer.h.1.mlp.c_fc.weight"),
        ("gpt2", "encoder.layers.0.attention.key", "transformer.h.0.attn.c_attn.weight"),
    ],
)
def test_what_stays_in_float(family, module, tensor, tmp_path):
    graph = make_graph(family, SEQUENCE_CLASSIFICATION)
    source = write_source(graph, tmp_path / "source")
    write_export(source, tmp_path / "sparse", TARGET, keep_float=[module])
    given, found = read_tensors(source), read_tensors(tmp_path / "sparse")
    matrices = [name for name in given if given[name].ndim == 2]
    same = {name for name in matrices if torch.equal(given[name], found[name])}
    assert tensor in same
    assert len(same) == (4 if module.endswith("attention") else 1)
    with pytest.raises(ExportError, match=r"keep_float names the module 'encoder\.layer'"):
        write_export(source, tmp_path / "other", TARGET, keep_float=["encoder.layer"])


def test_a_sentence_model(tmp_path):
    source = write_source(make_sentence_graph(), tmp_path / "source")
    write_export(
        source, tmp_path / "sparse", TARGET, keep_float=["encoder.encoder.layers.0.attention"]
    )
    texts = ["a gorgeous movie", "it is far too long"]
    given, found = (SentenceEncoder(f).encode(texts) for f in (source, tmp_path / "sparse"))
    lengths = np.linalg.norm(given, axis=1) * np.linalg.norm(found, axis=1)
    cosines = (given * found).sum(axis=1) / lengths
    assert cosines.min() > 0.99
    kept = "encoder.layer.0.attention.output.dense.weight"
    assert torch.equal(read_tensors(source)[kept], read_tensors(tmp_path / "sparse")[kept])


def test_a_damaged_file_is_noticed(pruned, tmp_path):
    _, folder = pruned
    for name in ("config.json", "export.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole = (folder / "model.sparse.safetensors").read_bytes()
    (tmp_path / "model.sparse.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"model\.sparse\.safetensors is damaged"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "export.json").read_text())["files"]
