"""`limbeck trim`: a folder in, a smaller one out, that reads its texts as before or nearly so."""

from __future__ import annotations

import json
from pathlib import Path

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
from limbeck.recipes.trim import TrimSettings, plan, run, summarise
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
    assert result.load.file_bytes < result.load_before.file_bytes
    assert result.load.num_operations == result.load_before.num_operations > 0
    assert min(result.load.latency_ms, result.load.texts_per_second) > 0
    if Path("/proc/self/status").exists():
        assert result.load.peak_bytes > result.load.loaded_bytes
    table = summarise(result)
    for said in ("peak memory", "as given  ", "trimmed  ", "that stayed it computes the same"):
        assert said in table
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
    settings = TrimSettings(measure=False, model=model, texts=texts, out=tmp_path / "out")
    result = run(settings, progress=SilentProgress())
    for name, content in beside.items():
        assert (tmp_path / "out/model" / name).read_text(encoding="utf-8") == content
        assert name in result.model_files
    made = (tmp_path / "out/model/README.md").read_text(encoding="utf-8")
    assert "license: mit" in made
    assert "pipeline_tag: text-classification" in made
    assert f"| Pieces | {result.num_pieces} of " in made


def test_what_cannot_be_measured_is_told_and_nothing_is_lost(model, texts, tmp_path):
    place = tmp_path / "model" / "config.json"
    config = json.loads(place.read_text(encoding="utf-8"))
    del config["architectures"]
    place.write_text(json.dumps(config), encoding="utf-8")
    said = []

    class Told(SilentProgress):
        def log(self, message):
            said.append(message)

    result = run(TrimSettings(model=model, texts=texts, out=tmp_path / "out"), progress=Told())
    assert (result.load, result.load_before) == (None, None)
    assert AutoTokenizer.from_pretrained(result.model).vocab_size == result.num_pieces
    assert any("was not measured" in line and "names the architecture ''" in line for line in said)


def test_positions_go_with_all_that_is_said_of_lengths(model, tmp_path):
    """The tokenizer's limit, that of a sentence model's texts; what is computed stays."""
    beside = tmp_path / "model" / "sentence_bert_config.json"
    beside.write_text('{"max_seq_length": 256, "do_lower_case": false}', encoding="utf-8")
    settings = TrimSettings(measure=False, model=model, max_tokens=12, out=tmp_path / "out")
    planned = plan(settings)
    assert planned["positions"] == "12 of 32, 62.5% less"
    result = run(settings, progress=SilentProgress())
    assert (result.max_tokens, result.max_tokens_before) == (12, 32)
    assert result.num_parameters_before - result.num_parameters == 16 * (32 - 12)
    assert result.num_pieces == result.num_pieces_before
    before, after = read(model), read(result.model)
    assert after[0].config.max_position_embeddings == 12
    assert after[1].config.model_max_length == 12
    assert json.loads((tmp_path / "out/model" / beside.name).read_text()) == {
        "max_seq_length": 12,
        "do_lower_case": False,
    }
    inputs = after[1](TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(*(m(**inputs).logits for m, _ in (before, after)))
    card = (tmp_path / "out/model/README.md").read_text(encoding="utf-8")
    assert "| Positions | 12 of 32, 62.5% less |" in card
    assert "from transformers import" in card


def test_a_length_that_the_task_needs(model, tmp_path):
    memory = '{"task": "sst2", "task_options": {}, "max_length": 16}'
    (tmp_path / "model" / "limbeck.json").write_text(memory, encoding="utf-8")
    short, fitting = (
        TrimSettings(measure=False, model=model, max_tokens=length, out=tmp_path / "out")
        for length in (15, 16)
    )
    message = (
        r"max_tokens = 15, but .* max_length = 16, as its limbeck\.json says; accepted: 16 and"
    )
    for act in (plan, lambda settings: run(settings, progress=SilentProgress())):
        with pytest.raises(SettingsError, match=message):
            act(short)
    assert not (tmp_path / "out").exists()
    assert run(fitting, progress=SilentProgress()).max_tokens == 16


def test_a_table_is_factorised_by_what_texts_use(model, texts, tmp_path):
    made = {
        name: run(
            TrimSettings(measure=False, model=model, rank=4, out=tmp_path / name, **given),
            progress=SilentProgress(),
        )
        for name, given in {
            "alike": {},
            "counted": {"texts": texts},
            "whole": {"texts": texts, "min_count": 0},
        }.items()
    }
    alike, counted = made["alike"], made["counted"]
    assert made["whole"].num_pieces == alike.num_pieces
    size = alike.num_pieces
    assert size == alike.num_pieces_before > counted.num_pieces
    assert alike.num_parameters_before - alike.num_parameters == 16 * size - 4 * (size + 16)
    whole, small = read(model), read(counted.model)
    assert small[0].config.embedding_rank == counted.embedding_rank == 4
    assert small[0].encoder.embeddings.word.weight.shape == (counted.num_pieces, 4)

    def error_of(result):
        """Of the pieces of the texts, each as often as it occurs."""
        (mine, tokenizer), (theirs, own) = read(result.model), whole
        given = [
            m.encoder.embeddings.word(torch.tensor(t(text, add_special_tokens=False)["input_ids"]))
            for text in TEXTS
            for m, t in ((mine, tokenizer), (theirs, own))
        ]
        pairs = zip(given[::2], given[1::2], strict=True)
        return sum(float((a - b).detach().square().sum()) for a, b in pairs)

    assert error_of(counted) < error_of(alike)
    assert error_of(made["whole"]) < error_of(alike)
    card = (tmp_path / "counted/model/README.md").read_text(encoding="utf-8")
    assert "| Rank of the table | 4 |" in card
    assert "It has a table of words in two factors, which `transformers` has no place for" in card
    assert "from limbeck import AutoModelForSequenceClassification, AutoTokenizer" in card
    assert "library_name" not in card


def test_what_is_done_is_not_done_again(model, texts, tmp_path):
    settings = TrimSettings(measure=False, model=model, texts=[texts], out=tmp_path / "out")
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
        run(
            TrimSettings(measure=False, model=model, out=tmp_path / name, **given),
            progress=SilentProgress(),
        )
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
    settings = TrimSettings(measure=False, model=model, texts=texts, out=tmp_path / "out")
    small = AutoModelForMaskedLM.from_pretrained(run(settings, progress=SilentProgress()).model)
    assert small.score(torch.zeros(16)).shape == (small.config.vocab_size,)


def test_from_the_shell(model, texts, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["trim", model, f"texts={texts}", f"out={out}", "--measure", "false"]
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
        ({"min_count": -1}, SettingsError, "min_count = -1.*>= 0"),
        (
            {"min_count": 0},
            SettingsError,
            r"min_count = 0 keeps all pieces .* give rank, or a min_c",
        ),
        ({"texts": None}, SettingsError, r"nothing says what is to go; give texts .* or rank"),
        (
            {"texts": None, "rank": 2, "max_pieces": 9},
            SettingsError,
            r"max_pieces = 9 chooses among the pieces of texts, but there are none; give texts too",
        ),
        ({"max_tokens": 40}, SettingsError, r"max_tokens = 40: the model takes 32 .*8 to 31"),
        ({"max_tokens": 4}, SettingsError, r"max_tokens = 4 is not accepted.*>= 8"),
        ({"rank": 16}, SettingsError, r"rank = 16: factors of \d+ x 16 and 16 x 16 have no fewer"),
        ({"rank": 1.5}, SettingsError, r"rank = 1\.5: no number of columns; .*below 1"),
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
    settings = TrimSettings(
        measure=False, model=model, texts=str(tmp_path / "empty.jsonl"), out=tmp_path / "out"
    )
    with pytest.raises(DataError, match=r"texts = '.*empty\.jsonl' have no words"):
        run(settings, progress=SilentProgress())
