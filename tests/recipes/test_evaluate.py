"""Evaluation of a fine-tuned model: the same figures as fine-tuning gave, and clear refusals."""

import json
from pathlib import Path

import pytest
import torch
from tiny_task import Lines, make_tokenizer, write_data, write_model

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError, DataError, MissingHeadError, SettingsError
from limbeck.models import AutoConfig, AutoModelForTokenClassification
from limbeck.recipes.evaluate import EvaluateSettings, plan, run, summarise
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.recipes.finetune import run as finetune
from limbeck.runs import EvaluateRecord
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress


def evaluate(model, data, out, **changes):
    settings = EvaluateSettings(
        model=str(model), data=data, out=out, max_length=16, device="cpu", **changes
    )
    return run(settings, progress=SilentProgress())


def test_scores_equal_those_of_fine_tuning(tmp_path):
    data = write_data(tmp_path / "data")
    settings = FinetuneSettings(
        model=write_model(tmp_path / "model"),
        data=data,
        out=tmp_path / "run",
        max_length=16,
        learning_rate=3e-3,
        device="cpu",
    )
    record = finetune(settings, progress=SilentProgress()).seeds[0].scores
    for split in ("validation", "test"):
        out = tmp_path / f"evaluate-{split}"
        result = evaluate(tmp_path / "run/model", data, out, split=split, label="A", role="student")
        assert result.scores == pytest.approx(record[split])
        assert EvaluateRecord.read(out) == result
        expected = {
            "recipe": "evaluate",
            "task": "sst2",
            "metric": "accuracy",
            "label": "A",
            "role": "student",
            "num_layers": 2,
            "split": split,
            "num_examples": record[split]["num_examples"],
        }
        assert expected.items() <= result.to_dict().items()
        assert summarise(result).startswith(f"A: {split} accuracy {record[split]['accuracy']:.3f}")
        lines = summarise(result).splitlines()
        trivial = result.trivial[split]
        assert f"Always “{trivial.answer}”: {split} accuracy {trivial.score:.3f}" in lines
        start = next(i for i, line in enumerate(lines) if line.startswith("true ↓"))
        table = [line.split() for line in lines[start : start + 3]]
        assert table[0] == ["true", "↓", "predicted", "→", "NEGATIVE", "POSITIVE"]
        counts = [int(number) for row in table[1:] for number in row[1:]]
        assert sum(counts) == result.num_examples
        assert (counts[0] + counts[3]) / sum(counts) == result.scores["accuracy"]
        lines = (out / "predictions.jsonl").read_text().splitlines()
        assert len(lines) == record[split]["num_examples"]
        rows = (tmp_path / f"data/{split}.jsonl").read_text().splitlines()
        shown = [json.loads(line) for line in lines]
        assert [row.pop("text") for row in shown] == [json.loads(row)["sentence"] for row in rows]
        own = (tmp_path / "run/seed-0/predictions.jsonl").read_text().splitlines()
        assert [row for row in map(json.loads, own) if row["split"] == split] == shown


def test_labels_in_another_order_are_put_right(tmp_path):
    data = write_data(tmp_path / "data")
    straight = write_model(tmp_path / "straight", head=["negative", "positive"])
    swapped = write_model(tmp_path / "swapped", head=["POSITIVE", "NEGATIVE"])
    tensors = read_safetensors(tmp_path / "straight/model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name][torch.tensor([1, 0])].contiguous()
    write_safetensors(tmp_path / "swapped/model.safetensors", tensors)
    results = [evaluate(m, data, tmp_path / f"e{i}") for i, m in enumerate([straight, swapped])]
    assert results[0].scores == results[1].scores


def test_a_split_without_labels_is_predicted_and_not_scored(tmp_path):
    data = write_data(tmp_path / "data", test_labelled=False)
    model = write_model(tmp_path / "polarity", head=["NEGATIVE", "POSITIVE"])
    settings = EvaluateSettings(model=model, data=data, out=tmp_path / "x", max_length=16)
    assert plan(settings)["num_validation_examples"] == 24
    only = {"test": f"{data}/test.jsonl"}
    result = evaluate(model, only, tmp_path / "run", split="test")
    assert result.scores is None
    assert summarise(result).splitlines() == [
        "polarity: test has no labels; predicted, not scored",
        "As the benchmark's own scorer reads it: SST-2.tsv",
    ]
    file = (tmp_path / "run/SST-2.tsv").read_text().splitlines()
    assert file[0] == "index\tprediction"
    assert len(file) == result.num_examples + 1
    first = json.loads((tmp_path / "run/predictions.jsonl").read_text().splitlines()[0])
    assert first["label"] is None
    assert first["prediction"] in ("NEGATIVE", "POSITIVE")


def test_labels_of_the_model_are_those_of_the_task(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\ngood film,glad\nbad film,sad\n")
    model = write_model(tmp_path / "model", head=["sad", "so-so", "glad"])
    data = {"validation": str(tmp_path / "rows.csv")}
    result = evaluate(model, data, tmp_path / "run", task="text-classification")
    lines = (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["glad", "sad"]
    assert len(json.loads(lines[0])["scores"]) == 3
    assert result.num_examples == 2


def test_another_head_is_named_before_the_labels_of_the_data(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\ngood film,glad\nbad film,sad\n")
    data = {"validation": str(tmp_path / "rows.csv")}
    base = write_model(tmp_path / "base", head=["O", "B-PER"])
    tags = AutoModelForTokenClassification.from_config(AutoConfig.from_pretrained(base))
    tags.save_pretrained(tmp_path / "tags")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "tags")
    message = (
        r"tags has no head that is fine-tuned for text-classification\. .*it holds a "
        r"BertForTokenClassification; needed is a BertForSequenceClassification"
    )
    with pytest.raises(MissingHeadError, match=message):
        evaluate(tmp_path / "tags", data, tmp_path / "run", task="text-classification")
    message = r"tags holds a BertForTokenClassification, and nothing says.*; accepted: task=NAME"
    with pytest.raises(MissingHeadError, match=message):
        evaluate(tmp_path / "tags", data, tmp_path / "run")
    with pytest.raises(DataError, match=r"unknown label 'glad'.*known: O, B-PER"):
        evaluate(base, data, tmp_path / "run", task="text-classification")


def test_what_cannot_work_is_refused(tmp_path):
    data = write_data(tmp_path / "data", test=0)
    model = write_model(tmp_path / "model", head=["NEGATIVE", "POSITIVE"])
    with pytest.raises(DataError, match=r"has no test split.*it has: train, validation"):
        evaluate(model, data, tmp_path / "run", split="test")
    encoder = write_model(tmp_path / "encoder")
    message = r"encoder has no head that is fine-tuned for sst2\. .* limbeck finetune .*encoder --"
    with pytest.raises(MissingHeadError, match=message):
        evaluate(encoder, data, tmp_path / "run", task="sst2")
    message = (
        r"encoder has no head, and nothing says for which task it is\. Fine-tune it first: limbeck "
        r"finetune \S+encoder --task NAME --data \.\.\. --out RUN"
    )
    with pytest.raises(MissingHeadError, match=message):
        evaluate(encoder, data, tmp_path / "run")
    choices = {"sent1": "a", "sent2": "film", "ending0": "is", "ending1": "seen", "label": 0}
    (tmp_path / "choices.jsonl").write_text(json.dumps(choices), encoding="utf-8")
    swag = {"validation": str(tmp_path / "choices.jsonl")}
    with pytest.raises(MissingHeadError, match=r"model has no head that is fine-tuned for swag"):
        evaluate(model, swag, tmp_path / "run", task="swag")
    options = {"text_column": "sentence"}
    with pytest.raises(SettingsError, match=r"model has 2 outputs, but .* text-regression has 1"):
        evaluate(model, data, tmp_path / "run", task="text_regression", task_options=options)
    stars = write_model(tmp_path / "stars", head=["1 star", "2 stars", "3 stars"])
    with pytest.raises(DataError, match=r"labels \(1 star, .*\) are not .*\(NEGATIVE, POSITIVE\)"):
        evaluate(stars, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_not_finite_is_not_scored(tmp_path):
    data = write_data(tmp_path / "data")
    path = Path(write_model(tmp_path / "model", head=["NEGATIVE", "POSITIVE"]), "model.safetensors")
    weights = read_safetensors(path)
    head = {"bert.pooler.dense.bias": 50.0, "classifier.weight": 3e38}  # finite, but not their sum
    filled = {name: torch.full_like(weights[name], value) for name, value in head.items()}
    write_safetensors(path, {**weights, **filled})
    match = (
        r"gives 24 of 24 rows numbers that are not finite, example \d+ first, so that there is no"
    )
    with pytest.raises(CheckpointError, match=match):
        evaluate(path.parent, data, tmp_path / "out")
    assert not (tmp_path / "out/result.json").exists()
    weights["bert.embeddings.word_embeddings.weight"][5] = float("nan")
    write_safetensors(path, weights)
    with pytest.raises(CheckpointError, match=r"NaN or infinite in 'bert\.embeddings\.word_embed"):
        evaluate(path.parent, data, tmp_path / "out")


def test_a_vocabulary_that_was_cut_short_is_said(tmp_path):
    data = write_data(tmp_path / "data")
    model = Path(write_model(tmp_path / "model", head=["NEGATIVE", "POSITIVE"]))
    settings = EvaluateSettings(
        model=str(model), data=data, out=tmp_path / "out", max_length=16, device="cpu"
    )
    progress = Lines()
    plain = run(settings, progress=progress)
    assert not any("pieces" in line for line in progress.lines)
    (model / "tokenizer.json").unlink()
    vocabulary = (model / "vocab.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (model / "vocab.txt").write_text("".join(vocabulary[:-9]), encoding="utf-8")
    progress = Lines()
    size = len(vocabulary)
    run(settings.model_copy(update={"out": tmp_path / "cut"}), progress=progress)
    said = (
        f"{model}: the tokenizer has {size - 9} of the {size} pieces that the model embeds; unless"
    )
    assert any(line.startswith(said) for line in progress.lines)
    assert plain.scores is not None


@pytest.mark.parametrize(
    ("num_embedded", "is_short"), [(88, False), (90, False), (96, False), (97, True), (256, True)]
)
def test_padding_of_a_vocabulary_is_no_shortage(num_embedded, is_short):
    tokenizer = make_tokenizer()
    assert tokenizer.vocab_size == 90
    assert (tokenizer.describe_shortage(num_embedded) is not None) == is_short


def test_a_dry_run_says_and_refuses_what_the_folder_holds(deep_teacher, data, tmp_path):
    def settings(**changes):
        values = {"model": deep_teacher, "data": data, "out": str(tmp_path / "run")}
        return EvaluateSettings.from_values(values | {"device": "cpu"} | changes)

    assert plan(settings())["run"] == "a new run"
    assert not (tmp_path / "run").exists()
    run(settings(), progress=SilentProgress())
    assert plan(settings())["run"].startswith("goes on with the run that was begun there at 2")
    with pytest.raises(SettingsError, match=r"split was \"validation\", now \"test\""):
        plan(settings(split="test"))
