"""`limbeck trim`: a folder in, a smaller one out, that reads its texts as before."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_task import make_tokenizer, write_model

from limbeck import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from limbeck.cli import main
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.recipes.trim import TrimSettings, plan, run
from limbeck.train import SilentProgress

TEXTS = ["good good film", "a bad film"]


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", head=["bad", "good"])


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return str(path)


def read(folder):
    return (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )


def test_a_folder_is_trimmed(model, texts, tmp_path):
    settings = TrimSettings(model=model, texts=texts, out=tmp_path / "out")
    planned = plan(settings)
    assert not (tmp_path / "out").exists()
    result = run(settings, progress=SilentProgress())
    size = make_tokenizer().vocab_size
    assert (result.num_pieces, result.num_pieces_before) == (result.num_pieces, size)
    assert planned["pieces"].startswith(f"{result.num_pieces} of {size}, ")
    assert f"{result.num_parameters:,} of {result.num_parameters_before:,}" in planned["parameters"]
    assert result.num_parameters_before - result.num_parameters == 16 * (size - result.num_pieces)
    before, after = read(model), read(result.model)
    assert after[0].num_parameters == result.num_parameters
    assert after[0].config.id2label == {0: "bad", 1: "good"}
    for text in TEXTS:
        assert after[1].tokenize(text) == before[1].tokenize(text)
        with torch.no_grad():
            logits = [
                m(**tokenizer(text, return_tensors="pt")).logits for m, tokenizer in (before, after)
            ]
        assert torch.equal(*logits)


def test_what_is_said_of_the_models_outputs_comes_along(model, texts, tmp_path):
    beside = {
        "limbeck.json": '{"task": "sst2", "task_options": {}, "max_length": 16}',
        "modules.json": "[]",
        "1_Pooling/config.json": '{"pooling_mode_cls_token": true}',
    }
    for name, content in beside.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    card = "---\nlicense: mit\n---\n# Whose it is\n"
    (tmp_path / "model" / "README.md").write_text(card, encoding="utf-8")
    settings = TrimSettings(model=model, texts=texts, out=tmp_path / "out")
    result = run(settings, progress=SilentProgress())
    for name, content in beside.items():
        assert (tmp_path / "out/model" / name).read_text(encoding="utf-8") == content
        assert name in result.model_files
    made = (tmp_path / "out/model/README.md").read_text(encoding="utf-8")
    assert "license: mit" in made
    assert "pipeline_tag: text-classification" in made
    assert f"| Pieces | {result.num_pieces} of " in made


def test_what_is_done_is_not_done_again(model, texts, tmp_path):
    settings = TrimSettings(model=model, texts=[texts], out=tmp_path / "out")
    result = run(settings, progress=SilentProgress())
    assert run(settings, progress=SilentProgress()) == result
    (tmp_path / "out" / "model" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not the file that the run"):
        run(settings, progress=SilentProgress())
    (tmp_path / "texts.txt").write_text("bad", encoding="utf-8")
    with pytest.raises(DataError, match="texts"):
        run(settings, progress=SilentProgress())


def test_a_corpus_is_as_good_as_its_texts(model, texts, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(model)
    reading = CorpusSettings(heldout_ratio=0, documents="line")
    build_corpus([texts], tokenizer=tokenizer, out=tmp_path / "corpus", settings=reading)
    made = [
        run(TrimSettings(model=model, out=tmp_path / name, **given), progress=SilentProgress())
        for name, given in {
            "a": {"texts": texts},
            "b": {"texts": str(tmp_path / "corpus")},
        }.items()
    ]
    assert made[0].model_files == made[1].model_files


def test_bert_as_it_was_published_keeps_its_masked_lm(model, texts, tmp_path):
    """`BertForPreTraining` is that and a head for pairs; ELECTRA's class of this name is not."""
    folder = tmp_path / "model"
    AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(model)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertForPreTraining"]
    (folder / "config.json").write_text(json.dumps(config))
    settings = TrimSettings(model=model, texts=texts, out=tmp_path / "out")
    small = AutoModelForMaskedLM.from_pretrained(run(settings, progress=SilentProgress()).model)
    assert small.score(torch.zeros(16)).shape == (small.config.vocab_size,)


def test_from_the_shell(model, texts, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["trim", model, f"texts={texts}", f"out={out}"]
    assert main([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "pieces" in shown
    assert "% less" in shown
    assert not out.exists()
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(out / "model")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"texts": "no-such.txt"}, DataError, r"no-such\.txt"),
        ({"max_pieces": 3}, SettingsError, "max_pieces = 3, but .*special tokens .* are 5 pieces"),
        ({"min_count": 0}, SettingsError, "min_count = 0"),
    ],
)
def test_what_cannot_be_trimmed(values, error, message, model, texts, tmp_path):
    def trim():
        given = {"texts": texts, "out": str(tmp_path / "out"), "model": model, **values}
        run(TrimSettings.from_values(given), progress=SilentProgress())

    with pytest.raises(error, match=message):
        trim()
    assert not (tmp_path / "out").exists()


def test_texts_without_words(model, tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"text": " "}\n', encoding="utf-8")
    settings = TrimSettings(model=model, texts=str(tmp_path / "empty.jsonl"), out=tmp_path / "out")
    with pytest.raises(DataError, match=r"texts = '.*empty\.jsonl' have no words"):
        run(settings, progress=SilentProgress())
