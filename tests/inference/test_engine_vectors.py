"""Vectors of texts from files that give hidden states, as torch makes them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from pipeline_models import TEXTS, write_model

import limbeck
from limbeck.errors import CheckpointError, SettingsError
from limbeck.export import load_target, write_export
from limbeck.inference import load_engine
from limbeck.inference.engines import VECTORS
from limbeck.inference.engines._pooling import pool
from limbeck.inference.sentence_vectors import SentenceVectorsPipeline
from limbeck.models import (
    AutoModel,
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    SentenceHead,
    SentenceModel,
)
from limbeck.models._kinds import ENCODER
from limbeck.models._sentence.weights import write_sentence_files
from limbeck.nn.constants import POOLING_MODES
from limbeck.tokenizers import AutoTokenizer

WIDTH = 16


def vectors_of(engine, folder):
    run = SentenceVectorsPipeline(engine, AutoTokenizer.from_pretrained(folder))
    return np.concatenate(list(run(TEXTS)))


def write_sentence_model(folder, **options):
    write_model(folder, auto_model=AutoModel)
    config = SentenceConfig(hidden_size=WIDTH, **options)
    torch.manual_seed(0)
    write_sentence_files(folder, config, SentenceHead(config))
    return folder


@pytest.mark.parametrize("modes", [*((mode,) for mode in POOLING_MODES), ("cls", "mean")])
@pytest.mark.parametrize("layers", [(), (NormalizeConfig(),)])
def test_numpy_pools_as_torch_does(modes, layers):
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(4, 7, WIDTH)).astype(np.float32)
    lengths = np.array([7, 1, 3, 5])
    mask = (np.arange(7) < lengths[:, None]).astype(np.int64)
    mask[3] = mask[3, ::-1]  # padded on the left
    config = SentenceConfig(
        hidden_size=WIDTH, pooling=PoolingConfig(modes=modes), layers=layers, truncate_dim=9
    )
    expected = SentenceHead(config)(torch.from_numpy(hidden), torch.from_numpy(mask))
    found = pool(hidden, mask, config)
    np.testing.assert_allclose(found, expected[:, :9].numpy(), atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.slow
def test_hidden_states_and_vectors_of_one_export(tmp_path):
    source = write_sentence_model(tmp_path / "source", layers=(NormalizeConfig(),))
    folder = tmp_path / "onnx"
    write_export(source, folder, load_target("onnx"))
    expected = vectors_of(load_engine("torch", source, vectors=True), source)
    engine = load_engine(None, folder, vectors=True)
    np.testing.assert_allclose(vectors_of(engine, folder), expected, atol=1e-5)
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="np")
    assert set(engine.run(batch)) == {VECTORS}
    hidden = load_engine(None, folder, kind=ENCODER).run(batch)
    assert set(hidden) == {"last_hidden_state"}
    np.testing.assert_allclose(
        hidden["last_hidden_state"],
        load_engine("torch", source, kind=ENCODER).run(batch)["last_hidden_state"],
        atol=1e-5,
    )
    # As the Hub's exports are: hidden states alone, under their usual name.
    bare = tmp_path / "bare"
    folder.rename(bare)
    (bare / "export.json").unlink()
    model = onnx.load(bare / "onnx" / "model.onnx")
    del model.graph.output[1]
    assert model.graph.output[0].name == "last_hidden_state"
    onnx.save(model, bare / "onnx" / "model.onnx")
    engine = load_engine(None, bare, vectors=True)
    np.testing.assert_allclose(vectors_of(engine, bare), expected, atol=1e-5)
    # Most of the Hub's sentence models name the head that they were trained with.
    config = json.loads((bare / "config.json").read_text(encoding="utf-8"))
    (name,) = config["architectures"]
    config["architectures"] = [name.removesuffix("Model") + "ForMaskedLM"]
    (bare / "config.json").write_text(json.dumps(config), encoding="utf-8")
    engine = load_engine(None, bare, vectors=True)
    assert engine.facts.class_name == name
    np.testing.assert_allclose(vectors_of(engine, bare), expected, atol=1e-5)
    found = limbeck.SentenceEncoder(bare).encode(TEXTS)
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"gives last_hidden_state; a \w+ForMaskedLM has to"):
        load_engine(None, bare)
    # A layer with weights is not in such a file.
    dense = DenseConfig(in_features=WIDTH, out_features=8)
    config = SentenceConfig(hidden_size=WIDTH, layers=(dense,))
    write_sentence_files(bare, config, SentenceHead(config))
    with pytest.raises(
        CheckpointError,
        match=r"gives last_hidden_state, and the model has a Dense layer after these, which the "
        r"file lacks; accepted: a file that gives sentence_embedding",
    ):
        load_engine(None, bare, vectors=True)


@pytest.mark.slow
def test_vectors_of_another_library_are_cut_as_the_folder_says_or_refused(tmp_path):
    source = write_sentence_model(tmp_path / "source", layers=(NormalizeConfig(),))
    folder = tmp_path / "onnx"
    write_export(source, folder, load_target("onnx"))
    (folder / "export.json").unlink()
    expected = vectors_of(load_engine("torch", source, vectors=True), source)

    def say(**options):
        config = SentenceConfig(hidden_size=WIDTH, layers=(NormalizeConfig(),), **options)
        write_sentence_files(folder, config, SentenceHead(config))
        return load_engine(None, folder, vectors=True)

    np.testing.assert_allclose(
        vectors_of(say(truncate_dim=5), folder).reshape(len(TEXTS), 5),
        expected.reshape(len(TEXTS), WIDTH)[:, :5],
        atol=1e-5,
    )
    with pytest.raises(
        CheckpointError,
        match=r"gives sentence_embedding of shape \(\d, 16\) for input_ids of shape \(\d, \d+\), "
        r"and a BertModel has to give \(\d, 32\): it is damaged, or config\.json beside it is",
    ):
        vectors_of(say(pooling=PoolingConfig(modes=("cls", "mean"))), folder)
    # Of hidden states the mean is taken where the folder does not say what is.
    (folder / "modules.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 32}), encoding="utf-8")
    with pytest.raises(
        CheckpointError,
        match=r"gives last_hidden_state of shape \(2, 4, 16\) for input_ids of shape \(2, 4\), "
        r"and a BertModel has to give \(2, 4, 32\)",
    ):
        load_engine(None, folder, kind=ENCODER).run({"input_ids": np.ones((2, 4), np.int64)})


def test_an_engine_without_vectors_is_refused(tmp_path):
    folder = write_model(tmp_path, auto_model=AutoModel)
    assert SentenceModel.from_pretrained(folder).config.width == WIDTH
    engine = load_engine("torch", folder, kind=ENCODER)
    with pytest.raises(SettingsError, match=r"gives no vectors of texts; accepted: .*vectors=True"):
        SentenceVectorsPipeline(engine, AutoTokenizer.from_pretrained(folder))
