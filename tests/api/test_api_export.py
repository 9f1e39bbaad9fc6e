"""`limbeck.export_model`: from a result or a model in memory to a folder that is run elsewhere."""

import pytest
from tiny_rows import VALIDATION
from tiny_task import write_model

import limbeck
from limbeck.errors import ContractError, SettingsError

pytestmark = pytest.mark.slow

FAST = {"num_rows": 8, "measure": False}


def test_a_result_brings_its_data(teacher, tmp_path):
    result = limbeck.export_model(teacher, "onnx", out=tmp_path / "run", **FAST)
    (model,) = result.record.models
    validation = teacher.record.best.validation
    assert model.score.score == pytest.approx(validation[teacher.record.metric])
    assert repr(result).endswith(": BertForSequenceClassification to onnx>")
    assert "drop (95 % interval)" in result._repr_html_()
    text = VALIDATION[0]["text"]
    assert result.pipeline()(text)[0]["label"] == teacher.pipeline()(text)[0]["label"]
    assert limbeck.evaluate(result, VALIDATION, out=tmp_path / "scored").scores == pytest.approx(
        limbeck.evaluate(teacher, VALIDATION, out=tmp_path / "own").scores, abs=1e-5
    )


def test_a_model_in_memory_is_compared_on_texts_in_memory(tmp_path):
    write_model(tmp_path / "model")
    model = limbeck.AutoModel.from_pretrained(tmp_path / "model")
    tokenizer = limbeck.AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = ["the good film", "a dull story about men"]
    out = tmp_path / "run"
    result = limbeck.export_model(model, "onnx", tokenizer=tokenizer, texts=texts, out=out, **FAST)
    assert result.record.num_rows == 2
    assert result.model_folder == out / "model"
    with pytest.raises(SettingsError, match="comes without its tokenizer"):
        limbeck.export_model(model, "onnx", out=tmp_path / "other")
    with pytest.raises(SettingsError, match=r"max_drop = 0\.1 bounds a score"):
        limbeck.export_model(tmp_path / "model", "onnx", max_drop=0.1, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_was_refused_can_be_looked_at(tmp_path, monkeypatch):
    write_model(tmp_path / "model")
    from limbeck.export import load_target

    monkeypatch.setattr(type(load_target("onnx")), "tolerance", 0.0)
    with pytest.raises(ContractError, match="refused onnx: its outputs differ") as caught:
        limbeck.export_model(tmp_path / "model", "onnx", out=tmp_path / "run", **FAST)
    assert caught.value.result.models[0].outputs.largest > 0
    assert not (tmp_path / "run").exists()


def test_methods_and_bits_from_python(tmp_path):
    folder, texts = write_model(tmp_path / "model"), ["the good film", "a dull story about men"]
    result = limbeck.quantise_model(folder, "int4", texts=texts, out=tmp_path / "run", **FAST)
    (model,) = result.record.models
    assert (model.target, model.precision) == ("onnx-int4", "int4")
    assert result.model_folder == tmp_path / "run/model"
    for given, message in (
        ({"bits": "4"}, r"bits = '4' is not accepted\. Accepted: 8, 4 or 2"),
        ({"method": "aware", "bits": 3}, r"bits = 3 is not accepted\. Accepted: 8, 4 or 2"),
        (
            {"to": "onnx"},
            r"to = 'onnx' is not for quantise_model.*; accepted: method, or .*export_",
        ),
    ):
        with pytest.raises(SettingsError, match=message):
            limbeck.quantise_model(folder, out=tmp_path / "other", **given)
    assert not (tmp_path / "other").exists()
