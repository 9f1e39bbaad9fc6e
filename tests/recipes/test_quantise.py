"""`limbeck quantise`: an export by the name of a method, and what nothing can be calibrated on."""

from __future__ import annotations

import json
import re
import shutil
from typing import get_args

import onnx
import pytest
import torch
from tiny_task import Lines, write_model

from limbeck import AutoModelForSequenceClassification, AutoTokenizer, listing
from limbeck.checkpoints.exported import ExportInfo
from limbeck.cli import main
from limbeck.errors import DataError, ExportError, SettingsError
from limbeck.export import list_trained, load_target
from limbeck.recipes import export, quantise
from limbeck.recipes.finetune.settings import TrainedBits
from limbeck.runs import FinetuneRecord, RunRecord
from limbeck.train import SilentProgress


def make_settings(model, out, **changes):
    values = {"model": str(model), "out": str(out), "measure": False, "num_rows": 8}
    return quantise.SettingsType.from_values(values | changes)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "model"
    write_model(folder)
    return folder


@pytest.mark.slow
def test_methods_are_targets_and_the_run_is_an_export(deep_teacher, data, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["quantise", deep_teacher, "--method", "gptq", "--method", "int8", "--data", data]
    given = ["--max_drop", "1", "--measure", "false", "--out", str(out)]
    assert main([*arguments, *given, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["plan"]["targets"]
    assert {*planned} == {"onnx-int4-gptq", "onnx-int8"}
    assert planned["onnx-int4-gptq"]["calibration"] == "64 train rows of sst2"
    assert not out.exists()
    assert main([*arguments, *given, "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [model["target"] for model in models] == ["onnx-int4-gptq", "onnx-int8"]
    assert all(model["score"]["score"] > 0.5 for model in models)
    assert RunRecord.read(out).recipe == "export"
    info = ExportInfo.read(out / "models/onnx-int4-gptq")
    assert info.options["rounding"].startswith("GPTQ, on ")
    card = (out / "models/onnx-int4-gptq/README.md").read_text(encoding="utf-8")
    assert "| Calibrated on | 64 train rows of sst2 |" in card
    with pytest.raises(ExportError, match=r"holds an export already, onnx-int8 \(int8\), and no"):
        quantise.plan(make_settings(out / "models/onnx-int8", tmp_path / "again", method="int4"))


def test_each_method_is_one_target():
    targets = map(load_target, listing.list_names("limbeck.export"))
    methods = [target.method for target in targets if target.method is not None]
    assert sorted(methods) == ["gptq", "int4", "int8", "int8-static"]
    found = quantise.find_targets(methods)
    assert [load_target(name).method for name in found] == methods


def test_settings_offer_the_bits_that_targets_are_trained_for():
    trained = list_trained()
    assert sorted(get_args(TrainedBits)) == [*trained]
    targets = {name: load_target(name) for name in listing.list_names("limbeck.export")}
    of_targets = [t.trained_bits for t in targets.values() if t.trained_bits is not None]
    assert sorted(of_targets) == [*trained]  # one target each
    assert all(targets[name].precision == f"int{bits}" for bits, name in trained.items())


def test_settings_are_those_of_export_but_for_the_target():
    fields = {*quantise.SettingsType.model_fields} ^ {*export.SettingsType.model_fields}
    assert fields == {"method", "bits", "finetune", "to"}
    assert [*quantise.SettingsType.model_fields][:3] == ["model", "method", "out"]
    assert [*export.SettingsType.model_fields][:3] == ["model", "to", "out"]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"method": "gtpq"},
            SettingsError,
            r"method names 'gtpq', .*accepted: aware, gptq, int4, int8, int8-static\..*mean 'gptq'",
        ),
        (
            {"method": ("int4", "int4")},
            SettingsError,
            "method names int4 twice; accepted: one",
        ),
        ({"method": ()}, SettingsError, "method names nothing"),
        ({"bits": 5}, SettingsError, r"bits = 5 is not accepted.*8, 4 or 2"),
        (
            {"bits": 2},
            SettingsError,
            r"bits = 2 ruins .*not trained for it; accepted: .*method = aware with bits = 2",
        ),
        (
            {"method": ("aware", "int4")},
            SettingsError,
            "method = aware, int4 has aware among others.*; accepted: it alone",
        ),
        (
            {"method": "int4", "finetune": {"epochs": 1}},
            SettingsError,
            r"finetune\.epochs is a setting of a training, and method = int4 has none; .*= aware",
        ),
        (
            {"method": "aware"},
            SettingsError,
            "method = aware trains .*model on its task, and there is nothing to train on; give",
        ),
        (
            {"bits": 4, "method": "gptq"},
            SettingsError,
            r"method = gptq and bits = 4 are both given; .*8 and 4 are int8 and int4 with repair",
        ),
        ({"method": "gptq", "max_drop": 0.1}, SettingsError, r"max_drop = 0\.1 bounds a score"),
    ],
)
def test_what_cannot_be_quantised(values, error, message, small, tmp_path):
    with pytest.raises(error, match=message):
        quantise.run(make_settings(small, tmp_path / "run", **values), progress=SilentProgress())
    assert not (tmp_path / "run").exists()


def test_nothing_is_calibrated_on_texts_that_the_vocabulary_does_not_know(small, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("разве это не хорошо\nсовсем не хорошо\n", encoding="utf-8")
    settings = make_settings(small, tmp_path / "run", method="gptq", texts=str(texts))
    expected = r"6\d\.\d % of the tokens of 2 texts of .*texts\.txt are unknown .*up to 20\.0 %"
    for act in (quantise.plan, lambda given: quantise.run(given, progress=SilentProgress())):
        with pytest.raises(DataError, match=expected):
            act(settings)
    assert not (tmp_path / "run").exists()
    texts.write_text("the good film is a dull story about men ё\n" * 3, encoding="utf-8")
    planned = quantise.plan(settings)["targets"]["onnx-int4-gptq"]["calibration"]
    assert "of the tokens unknown to the vocabulary)" in planned
    texts.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"texts = .*texts\.txt'.* have no words"):
        quantise.plan(settings)


def test_texts_that_nobody_gave_stop_nothing_that_does_without(small, tmp_path):
    """Those that come with Limbeck are English, and the vocabulary may be of another language."""
    folder = shutil.copytree(small, tmp_path / "model")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    special = {one["content"] for one in tokenizer["added_tokens"]}
    tokenizer["model"]["vocab"] = {
        word if word in special else chr(0x4E00 + number): number for word, number in words.items()
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    values = {"measure": False, "max_length": 16}
    settings = make_settings(folder, tmp_path / "run", method="int8", **values)
    said = r"onnx-int8 is written without looking at texts, since \d\d\.\d % of the tokens of "
    said += r"English texts that come with Limbeck are unknown to .*; texts=FILE gives some in its "
    said += "language"
    whole = quantise.plan(settings)
    planned = whole["targets"]["onnx-int8"]
    compared = (
        r"outputs are compared on English texts that come with Limbeck, and \d\d\.\d % of their "
        r"tokens are unknown to its vocabulary; texts=FILE gives some in its language, .*"
    )
    assert re.fullmatch(compared, whole["note"])
    assert "calibration" not in planned
    assert re.fullmatch(said, planned["note"])
    progress = Lines()
    result = quantise.run(settings, progress=progress)
    assert [line for line in progress.lines if re.search(said, line)]
    assert [line for line in progress.lines if re.search(compared, line)]
    assert result.calibration is None
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "left in the inputs of products" in card
    assert "Calibrated on" not in card
    with pytest.raises(DataError, match=r"texts that come with Limbeck are unknown"):
        quantise.plan(make_settings(folder, tmp_path / "other", method="gptq", **values))


def damage(teacher, folder, *, size):
    """Writes the same model, with every other value of a layer so many times as large."""
    model = AutoModelForSequenceClassification.from_pretrained(teacher)
    attention = model.encoder.layers[1].attention
    with torch.no_grad():  # what one weight gains the next one loses: it computes the same
        attention.value.weight[::2] *= size
        attention.value.bias[::2] *= size
        attention.output.weight[:, ::2] /= size
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(teacher).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("size", "width"), [(30, "int8"), (1000, "float")])
def test_four_bits_are_widened_where_a_layer_needs_it(size, width, deep_teacher, data, tmp_path):
    """To eight, and where these are too few to float, with all others as they were."""
    model, progress = damage(deep_teacher, tmp_path / "model", size=size), Lines()
    given = {"bits": 4, "data": data, "max_drop": 0.0}
    settings = make_settings(model, tmp_path / "run", **given)
    result = quantise.run(settings, progress=progress)
    (found,) = result.models
    name = "encoder.layers.1.attention.output"
    assert {"int8": found.repair.kept_int8, "float": found.repair.kept_float} == {
        "int8": (),
        "float": (),
        width: (name,),
    }
    assert found.repair.score_before < found.score.score == result.score
    assert found.repair.file_bytes_before < found.file_bytes
    assert f"kept in {width}: {name}. That took score from 0." in quantise.summarise(result)
    assert f"onnx-int4 with 1 in {width}, of 23 layers: the bound holds" in progress.lines
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert f"| Kept in {width} | {name} |" in card
    file = onnx.load(tmp_path / "run/model/onnx/model_q4.onnx")
    bits = [
        each.i
        for node in file.graph.node
        for each in node.attribute
        if node.op_type == "MatMulNBits" and each.name == "bits"
    ]
    assert sorted(bits) == [4] * 19 + [8] * (width == "int8")


def test_bits_are_a_method_that_is_repaired(small, tmp_path):
    settings = make_settings(small, tmp_path / "run", bits=4).to_export()
    assert (settings.to, settings.repair) == (("onnx_int4",), True)
    settings = make_settings(small, tmp_path / "run", bits=4, repair=False).to_export()
    assert (settings.to, settings.repair) == (("onnx_int4",), False)
    settings = make_settings(small, tmp_path / "run").to_export()
    assert (settings.to, settings.repair) == (("onnx_int8",), False)


@pytest.mark.parametrize("name", ["data", "model", "quantise", "teacher"])
def test_what_the_training_of_aware_takes_from_quantise_is_not_set_twice(
    name, deep_teacher, data, tmp_path
):
    changes = {"method": "aware", "data": data, "finetune": {name: "other"}}
    with pytest.raises(
        SettingsError, match=rf"finetune\.{name} is not for you to set: .* setting of quantise"
    ):
        quantise.plan(make_settings(deep_teacher, tmp_path / "run", **changes))


@pytest.mark.slow
def test_a_model_is_trained_for_its_bits_and_held_against_itself(
    deep_teacher, data, tmp_path, capsys
):
    out = tmp_path / "run"
    arguments = ["quantise", deep_teacher, "--method", "aware", "--bits", "2", "--data", data]
    given = ["--max_drop", "0.5", "--measure", "false", "--out", str(out), "finetune.epochs=1"]
    given += ["finetune.batch_size=8", "finetune.learning_rate=1e-3"]
    assert main([*arguments, *given, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["plan"]
    assert planned["training"]["quantise"]["weights"] == 2
    assert (planned["training"]["max_steps"], [*planned["targets"]]) == (8, ["onnx-int2"])
    assert not out.exists()
    assert main([*arguments, *given, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    trained = FinetuneRecord.read(out / "training")
    assert result["models"][0]["target"] == "onnx-int2"
    assert result["score"] == 1.0  # the model's own, not that of what was trained
    words = "as int2, 8 steps with the model in full precision as the teacher"
    assert result["training"] == words
    card = (out / "model/README.md").read_text(encoding="utf-8")
    assert f"| Trained | {words} |" in card
    settings = RunRecord.read(out / "training").settings
    assert {*settings["losses"]} == {"hidden_mse", "attention_mse", "soft_targets"}
    assert settings["teacher"] == deep_teacher
    assert trained.best.num_steps == 8
    assert main([*arguments, *given, "--quiet"]) == 0  # complete already
    capsys.readouterr()
    assert main([*arguments, *given, "finetune.seeds=[1]", "--quiet"]) != 0
    assert "training" in capsys.readouterr().err
