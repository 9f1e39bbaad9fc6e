"""`limbeck quantise`: an export by the name of a method, and what nothing can be calibrated on."""

from __future__ import annotations

import json

import pytest
from tiny_task import write_model

from limbeck import listing
from limbeck.checkpoints.exported import ExportInfo
from limbeck.cli import main
from limbeck.errors import DataError, ExportError, SettingsError
from limbeck.export import load_target
from limbeck.recipes import export, quantise
from limbeck.runs import RunRecord
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


def test_settings_are_those_of_export_but_for_the_target():
    fields = {*quantise.SettingsType.model_fields} ^ {*export.SettingsType.model_fields}
    assert fields == {"method", "to"}
    assert [*quantise.SettingsType.model_fields][:3] == ["model", "method", "out"]
    assert [*export.SettingsType.model_fields][:3] == ["model", "to", "out"]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"method": "gtpq"},
            SettingsError,
            r"method names 'gtpq', .*accepted: gptq, int4, int8, int8-static\..*mean 'gptq'",
        ),
        (
            {"method": ("int4", "int4")},
            SettingsError,
            "method names int4 twice; accepted: one",
        ),
        ({"method": ()}, SettingsError, "method names nothing"),
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
