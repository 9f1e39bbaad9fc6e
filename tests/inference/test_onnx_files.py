"""ONNX files that are damaged, foreign or wicked are refused before a runtime opens them."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from pipeline_models import TEXTS, write_model
from scipy.special import softmax

from limbeck.checkpoints.exported import ExportInfo
from limbeck.checkpoints.onnx_files import outline_onnx, require_own_files
from limbeck.checkpoints.onnx_mapping import point_into_file
from limbeck.errors import (
    CheckpointError,
    DataError,
    MissingExtraError,
    MissingHeadError,
    SettingsError,
)
from limbeck.files import sha256_of
from limbeck.inference import load_engine, pipeline
from limbeck.models._kinds import TOKEN_CLASSIFICATION

WIDTH = 4
NUM_WORDS = 100  # as the tokenizer has


def classifier(*, rows="batch", tokens="tokens", labels=3, words=NUM_WORDS, opset=18):
    """A model of other make: the mean of the words' rows, times a matrix."""
    draw = np.random.default_rng(0)
    tables = {
        "words": draw.normal(size=(words, WIDTH)).astype(np.float32),
        "head": draw.normal(size=(WIDTH, labels)).astype(np.float32),
        "axis": np.array([1]),
        "last": np.array([2]),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["states"]),
        helper.make_node("Unsqueeze", ["attention_mask", "last"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["states", "mask"], ["real"]),
        helper.make_node("ReduceSum", ["real", "axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [rows, tokens])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [rows, labels])],
        [numpy_helper.from_array(table, name) for name, table in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 9
    return model


def put_outside(tensor, place):
    """Has a tensor say that its data stands in another file."""
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    tensor.ClearField("raw_data")


@pytest.fixture
def folder(tmp_path):
    """A folder as another library leaves it: configuration and tokenizer, and an ONNX file."""
    folder = write_model(tmp_path / "model", model_type="distilbert")
    (folder / "model.safetensors").unlink()
    onnx.save(classifier(), folder / "model.onnx")
    return folder


def scores(run, **options):
    return np.array([one["score"] for one in run(TEXTS, **options)])


def test_another_librarys_folder_is_run(folder):
    run = pipeline(model=folder)
    assert (run.engine.precision, run.engine.limits.max_tokens) == ("fp32", 64)
    expected = scores(run)
    np.testing.assert_allclose(scores(run, batch_size=1), expected, atol=1e-6)
    (folder / "onnx").mkdir()
    shutil.move(folder / "model.onnx", folder / "onnx" / "model.onnx")
    np.testing.assert_array_equal(scores(pipeline(model=folder)), expected)
    # The words' rows that the tokens have, looked up by hand.
    model = onnx.load(folder / "onnx" / "model.onnx")
    words, head, *_ = map(numpy_helper.to_array, model.graph.initializer)
    ids = run.tokenizer(TEXTS[0])["input_ids"]
    logits = words[ids].mean(0) @ head
    found = [one["score"] for one in run(TEXTS[0], top_k=None)]
    np.testing.assert_allclose(found, sorted(softmax(logits), reverse=True), atol=1e-6)


def test_large_tables_of_bytes_stay_in_the_file(folder):
    """Of a file in int8 the process keeps what it has looked up, with the same answers."""
    model = classifier()
    draw, width = np.random.default_rng(0), 1024
    tables = {
        "words": draw.integers(-127, 128, size=(NUM_WORDS, width), dtype=np.int8),
        "head": draw.normal(size=(width, 3)).astype(np.float32) / width,
    }
    for tensor in model.graph.initializer:
        if tensor.name in tables:
            tensor.CopyFrom(numpy_helper.from_array(tables[tensor.name], tensor.name))
    model.graph.node[0].output[0] = "bytes"
    model.graph.node.insert(
        1, helper.make_node("Cast", ["bytes"], ["states"], to=TensorProto.FLOAT)
    )
    plain = folder.parent / "plain.onnx"
    onnx.save(model, plain)
    # As in the Hub's cache, where each file is a link to one of another name.
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(plain)
    pointed = onnx.load_from_string(point_into_file(plain))
    (words,) = (tensor for tensor in pointed.graph.initializer if tensor.name == "words")
    assert {entry.key: entry.value for entry in words.external_data}["location"] == "plain.onnx"
    assert len(pointed.SerializeToString()) < 20_000
    onnx.load_external_data_for_model(pointed, str(folder.parent))
    for one, other in zip(pointed.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))
    run = pipeline(model=folder)
    inputs = dict(run.tokenizer(TEXTS, padding=True, return_tensors="np"))
    found = run.engine.run(inputs)["logits"]
    session = onnxruntime.InferenceSession(plain)
    np.testing.assert_array_equal(found, session.run(["logits"], inputs)[0])
    assert point_into_file(folder / "model.onnx") is not None
    onnx.save(classifier(), plain)
    assert point_into_file(plain) is None, "tables of floats are read whole"


def test_of_several_files_the_precision_chooses(folder):
    onnx.save(classifier(opset=19), folder / "model_quantized.onnx")
    assert load_engine("onnxruntime", folder).precision == "fp32"
    assert load_engine(None, folder, precision="int8").precision == "int8"
    with pytest.raises(
        SettingsError,
        match=r"precision = 'fp16': .* holds model\.onnx \(fp32\), model_quantized\.onnx \(int8\); "
        r"accepted: fp32, int8, or none",
    ):
        pipeline(model=folder, precision="fp16")


def test_fixed_shapes_are_filled_up(folder):
    expected = scores(pipeline(model=folder))
    onnx.save(classifier(rows=3, tokens=40), folder / "model.onnx")
    run = pipeline(model=folder)
    assert (run.engine.limits.max_rows, run.engine.limits.max_tokens) == (3, 40)
    np.testing.assert_allclose(scores(run), expected, atol=1e-6)


def test_data_outside_the_folder_is_never_opened(folder, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(NUM_WORDS * WIDTH * 4))
    (folder / "link.bin").symlink_to(secret)
    places = ["../secret.bin", str(secret), "x/../../secret.bin", "C:\\secret.bin", "link.bin", ""]
    for place in places:
        model = classifier()
        put_outside(model.graph.initializer[0], place)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(
            CheckpointError, match=r"model\.onnx asks for data in '.*', outside its folder, which"
        ):
            pipeline(model=folder)


def test_odd_names_of_data_outside_are_refused(folder):
    (folder / "circle").symlink_to("circle")
    for name, message in (("a" * 5000, "its name is too long"), ("circle", "outside its folder")):
        model = classifier()
        put_outside(model.graph.initializer[0], name)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(CheckpointError, match=message):
            pipeline(model=folder)


@pytest.mark.parametrize("where", ["node", "function", "inner graph", "sparse", "training"])
def test_data_outside_is_found_wherever_it_is_asked_for(where, folder):
    model, tensor = classifier(), numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    put_outside(tensor, "../secret.bin")
    node = helper.make_node("Constant", [], ["unused"], value=tensor)
    graph = helper.make_graph([node], "inner", [], [])
    if where == "node":
        model.graph.node.append(node)
    elif where == "function":
        opsets = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("own", "f", [], ["unused"], [node], opsets))
    elif where == "inner graph":
        model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=graph))
    elif where == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    else:
        model.training_info.add().algorithm.CopyFrom(graph)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert outline_onnx(folder / "model.onnx").external_files == {"../secret.bin"}
    with pytest.raises(CheckpointError, match=r"asks for data in '\.\./secret\.bin'"):
        pipeline(model=folder)


def test_weights_beside_the_file_are_read(folder):
    expected = scores(pipeline(model=folder))
    onnx.save(
        classifier(),
        folder / "model.onnx",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=100,
    )
    assert outline_onnx(folder / "model.onnx").external_files == {"model.onnx_data"}
    np.testing.assert_array_equal(scores(pipeline(model=folder)), expected)
    (folder / "model.onnx_data").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"has its weights in 'model\.onnx_data', which is not beside it",
    ):
        pipeline(model=folder)


def test_the_hubs_cache_has_both_files_by_links(folder, tmp_path):
    onnx.save(classifier(), folder / "model.onnx", save_as_external_data=True, location="data")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for name in ("model.onnx", "data"):
        shutil.move(folder / name, blobs / name)
        (folder / name).symlink_to(blobs / name)
    load_outline = outline_onnx(folder / "model.onnx")
    require_own_files(folder / "model.onnx", load_outline)


def test_damage_is_named(folder):
    path = folder / "model.onnx"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], b"<html>" * 99, b"\xff" * 99):
        path.write_bytes(damaged)
        with pytest.raises(
            CheckpointError, match=r"model\.onnx is no ONNX file.*; export the model again, or take"
        ):
            pipeline(model=folder)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model\.onnx is empty"):
        pipeline(model=folder)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match=r"is a pointer of Git LFS, not the file itself"):
        pipeline(model=folder)


def test_no_bytes_end_in_another_error(folder):
    """Whatever is changed of a file, reading its outline gives one, or says what is wrong."""
    path = folder / "model.onnx"
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        for place in draw.integers(len(whole), size=4):
            changed[place] = draw.integers(256)
        path.write_bytes(changed)
        try:
            outline_onnx(path)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_file_of_another_model_is_refused(folder):
    for wrong, message in (
        ({"labels": 5}, r"gives 5 scores, but .*config\.json says 3 labels: one of them is"),
        ({"words": 7}, r"embeds 7 pieces, but .*config\.json says vocab_size \d+: one of them"),
    ):
        onnx.save(classifier(**wrong), folder / "model.onnx")
        with pytest.raises(CheckpointError, match=message):
            pipeline(model=folder)
    model = classifier()
    model.graph.output[0].name = model.graph.node[-1].output[0] = "sentence_embedding"
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(
        CheckpointError,
        match=r"gives sentence_embedding; a DistilBertForSequenceClassification has to give logits",
    ):
        pipeline(model=folder)
    model = classifier()
    model.graph.input.add().CopyFrom(
        helper.make_tensor_value_info("past_key", TensorProto.FLOAT, [1, 2])
    )
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(
        CheckpointError,
        match=r"takes input_ids \(int64\), attention_mask \(int64\), past_key \(float32\); acc",
    ):
        pipeline(model=folder)


def test_a_file_that_fails_when_it_is_run_is_named(folder):
    model = classifier()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 7), np.int64), "seven"))
    model.graph.node.insert(0, helper.make_node("Add", ["attention_mask", "seven"], ["added"]))
    model.graph.node[2].input[0] = "added"
    onnx.save(model, folder / "model.onnx")
    run = pipeline(model=folder)
    with pytest.raises(
        CheckpointError,
        match=r"model\.onnx can't be run: .*Add.*: it is damaged, or config\.json beside it is an",
    ):
        run("good")


@pytest.mark.parametrize(("labels", "keeps"), [(2, True), (3, False)])
def test_outputs_of_another_shape_are_refused(folder, labels, keeps):
    model = classifier(labels=labels)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    if not keeps:  # one number for all rows together
        model.graph.node[-1].output[0] = "before"
        model.graph.node.append(helper.make_node("ReduceSum", ["before"], ["logits"], keepdims=0))
    onnx.save(model, folder / "model.onnx")
    run = pipeline(model=folder)
    with pytest.raises(
        CheckpointError,
        match=r"gives logits of shape \(.*\) for input_ids of shape \(1, \d+\), and a "
        r"DistilBertForSequenceClassification has to give \(1, 3\): it is damaged, or",
    ):
        run("good")


def test_versions_that_the_runtime_is_too_old_for(folder):
    model = classifier()
    model.opset_import[0].version = 99
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        CheckpointError,
        match=r"asks for opset 99, but ONNX Runtime \S+ takes up to 2\d\. Accepted: a newer one",
    ):
        pipeline(model=folder)
    for absurd in (0, -1, 2**62):  # a number of the file's; none takes minutes, or ends in a crash
        model.opset_import[0].version = absurd
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(CheckpointError, match=r"asks for opset \d+, (but|which there is not)"):
            pipeline(model=folder)
    model = classifier()
    model.ir_version = 99
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        CheckpointError, match=r"asks for version 99 of the format, but .* takes up to 1\d\."
    ):
        pipeline(model=folder)
    model = classifier()
    model.graph.node[-1].op_type = "MatMool"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"can't be opened by ONNX Runtime .*MatMool.*Export"):
        pipeline(model=folder)


def test_what_is_missing_is_said(folder, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        MissingExtraError,
        match=r'engine onnxruntime needs the package .onnxruntime.,.*pip install "limbeck\[onnx\]"',
    ):
        pipeline(model=folder)
    weights = write_model(tmp_path / "weights")
    with pytest.raises(
        CheckpointError,
        match=r"weights has nothing that onnxruntime runs\. Export the model first: limbeck "
        r"export \S+weights --to onnx --out RUN, then give RUN/model\. Other libraries' files are "
        r"found as [^,]+\.onnx, [^,]+\.onnx, \.\.\. \(\d+ in all\)$",
    ):
        pipeline(model=weights, engine="onnxruntime")


def test_an_export_of_ours_is_as_it_was_written(folder):
    info = ExportInfo(
        target="onnx_int8",
        engine="onnxruntime",
        precision="int8",
        kind="sequence_classification",
        inputs=("input_ids", "attention_mask"),
        outputs=("logits",),
        max_tokens=50,
        files={"model.onnx": sha256_of(folder / "model.onnx")},
    )
    info.write(folder)
    engine = load_engine(None, folder)
    assert (engine.precision, engine.limits.max_tokens) == ("int8", 50)
    with pytest.raises(SettingsError, match=r"precision = 'fp32': .* holds model\.onnx \(int8\)"):
        load_engine(None, folder, precision="fp32")
    with pytest.raises(MissingHeadError, match=r"a head for token classification was asked for"):
        load_engine(None, folder, kind=TOKEN_CLASSIFICATION)
    with pytest.raises(
        CheckpointError,
        match=r"was exported to onnx-int8 and has no weights for torch; accepted: engine "
        r"onnxruntime, which runs it \(--engine onnxruntime, or none named\), or the folder that",
    ):
        load_engine("torch", folder)
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(
        CheckpointError,
        match=r"model\.onnx is not what was written: export\.json beside it has another checksum\. "
        r"Copy the folder again",
    ):
        pipeline(model=folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"model\.onnx is missing: export\.json"):
        pipeline(model=folder)
    elsewhere = {"engine": None, "target": "coreml", "precision": "fp16"}
    info.model_copy(update=elsewhere).write(folder)
    with pytest.raises(CheckpointError, match=r"coreml and has no weights.*: what runs such a"):
        load_engine("torch", folder)
    with pytest.raises(CheckpointError, match=r"was exported to coreml, which runs elsewhere only"):
        pipeline(model=folder)
    with pytest.raises(
        CheckpointError,
        match=r"was exported to coreml, which onnxruntime does not run; accepted: n",
    ):
        pipeline(model=folder, engine="onnxruntime")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {}}, r"files: Dictionary should have at least 1 item"),
        ({"files": {"../model.onnx": ""}}, r"'\.\./model\.onnx' is outside its folder"),
        ({"files": {"/etc/passwd": ""}}, r"'/etc/passwd' is outside its folder"),
        ({"max_tokens": 0}, r"max_tokens: Input should be greater than or equal to 1"),
        ({"token_buckets": [-4]}, r"token_buckets\.0: Input should be greater than or equal to 1"),
        ({"kind": "oracle"}, r"export\.json has kind = 'oracle'; accepted: .*token_classification"),
        (
            {"engine": "openvino"},
            r"target = 'onnx' has engine = 'onnxruntime', and 'openvino' is given",
        ),
        (
            {"target": "onnx_int8"},
            r"target = 'onnx_int8' has precision = 'int8', and 'fp32' is given",
        ),
        ({"target": "coreml"}, r"target = 'coreml' has engine = None, and 'onnxruntime' is given"),
        ({"files": {"a" * 5000: ""}}, r"its name is too long for the disk"),
    ],
)
def test_what_an_export_says_of_itself_is_checked(folder, changes, message):
    said = {
        "format": 1,
        "target": "onnx",
        "engine": "onnxruntime",
        "precision": "fp32",
        "kind": "sequence_classification",
        "inputs": ["input_ids", "attention_mask"],
        "outputs": ["logits"],
        "max_tokens": 50,
        "files": {"model.onnx": sha256_of(folder / "model.onnx")},
    }
    (folder / "export.json").write_text(json.dumps({**said, **changes}), encoding="utf-8")
    with pytest.raises((CheckpointError, DataError), match=message):
        pipeline("text-classification", model=folder)
