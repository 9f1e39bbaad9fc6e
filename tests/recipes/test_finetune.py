"""Fine-tuning: what a run writes, that it learns, and as `transformers` in plain PyTorch."""

import json
from pathlib import Path

import pytest
import torch
from tiny_task import (
    assert_same_weights,
    finetune,
    make_settings,
    read_lines,
    write_data,
    write_model,
)

from limbeck.errors import SettingsError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune import summarise
from limbeck.recipes.finetune.data import read_data
from limbeck.runs import FinetuneRecord, SeedRecord
from limbeck.tasks import EncodedExample, EncodedExamples, TrainBatches
from limbeck.tasks._classification import ClassificationTask
from limbeck.tasks._texts import TextEncoding
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Schedule, SilentProgress, read_metrics

FINISHED = {
    "seeds": (0, 5),
    "label": "Tiny",
    "role": "teacher",
    "learning_rate": 1e-2,
    "epochs": 5,
}


@pytest.fixture(scope="module")
def finished(encoder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "finished"
    return out, finetune(encoder, data, out, **FINISHED)


def test_the_run_folder_holds_what_reports_need(finished, encoder):
    out, result = finished
    assert FinetuneRecord.read(out) == result
    assert json.loads((out / "run.json").read_text())["settings"]["learning_rate"] == 1e-2
    expected = {
        "recipe": "finetune",
        "task": "sst2",
        "metric": "accuracy",
        "label": "Tiny",
        "role": "teacher",
        "model": encoder,
        "initialise": "pretrained",
        "num_layers": 2,
    }
    assert expected.items() <= result.to_dict().items()
    assert [record.seed for record in result.seeds] == [0, 5]
    assert [record.folder for record in result.seeds] == ["seed-0", "seed-5"]
    for record in result.seeds:
        assert SeedRecord.read(out / record.folder) == record
        assert record.num_steps == 40
        assert record.validation["num_examples"] == 24
        assert record.test["num_examples"] == 16
        assert record.elapsed_seconds > 0
        assert not (out / record.folder / "checkpoints").exists()
    model = AutoModelForSequenceClassification.from_pretrained(out / "model")
    assert result.num_parameters == model.num_parameters
    assert result.file_bytes == (out / "model/model.safetensors").stat().st_size
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert model.config.problem_type == "single_label_classification"


def test_it_learns_and_keeps_the_best_epoch(finished):
    out, result = finished
    for record in result.seeds:
        lines = read_metrics(out / record.folder)
        evaluations = [line for line in lines if line.kind == "evaluate"]
        assert [line.values["epoch"] for line in evaluations] == [1, 2, 3, 4, 5]
        best = max(evaluations, key=lambda line: line.values["accuracy"])  # the first of equal ones
        assert record.validation["accuracy"] == best.values["accuracy"] > 0.9
        assert (record.best_epoch, record.best_step) == (best.values["epoch"], best.step)
        assert [line.step for line in lines if line.kind == "train"] == list(range(1, 41))
    lines = summarise(result).splitlines()
    assert lines[0].startswith("Tiny, seed 0: validation accuracy 1.000 ± 0.000, test accuracy ")
    best_seed = next(r for r in result.seeds if r.seed == result.best_seed)
    assert best_seed.validation["accuracy"] == max(
        record.validation["accuracy"] for record in result.seeds
    )
    assert_same_weights(out / "model", out / best_seed.folder / "model")


def test_a_validation_leaves_each_part_of_the_model_in_its_mode(encoder, data, tmp_path):
    task_data = read_data(make_settings(encoder, data, tmp_path), SilentProgress())
    model = task_data.task.load_model(task_data.folder, new_head=True).train()
    model.encoder.eval()
    before = [part.training for part in model.modules()]
    task_data.predict(model, "validation")
    assert [part.training for part in model.modules()] == before


def test_predictions_are_those_that_were_scored_and_transformers_agrees(finished, data):
    transformers = pytest.importorskip("transformers")
    out, result = finished
    predictions = read_lines(out / "seed-0/predictions.jsonl")
    assert [p["split"] for p in predictions] == ["validation"] * 24 + ["test"] * 16
    for split in ("validation", "test"):
        own = [p for p in predictions if p["split"] == split]
        accuracy = sum(p["label"] == p["prediction"] for p in own) / len(own)
        assert accuracy == pytest.approx(result.seeds[0].scores[split]["accuracy"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out / "seed-0/model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "seed-0/model")
    texts = [row["sentence"] for row in read_lines(Path(data) / "validation.jsonl")]
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        expected = model.eval()(**inputs).logits.softmax(-1)
    given = torch.tensor([p["scores"] for p in predictions[:24]])
    torch.testing.assert_close(given, expected, atol=2e-6, rtol=0)


def test_a_finished_run_takes_on_more_seeds(finished, encoder, data, tmp_path):
    out, result = finished
    before = (out / "seed-0/result.json").stat().st_mtime_ns
    more = finetune(encoder, data, out, **(FINISHED | {"seeds": (0, 5, 1)}))
    assert more.seeds[:2] == result.seeds
    assert more.seeds[2].seed == 1
    assert (out / "seed-0/result.json").stat().st_mtime_ns == before
    assert finetune(encoder, data, out, **FINISHED) == result
    with pytest.raises(SettingsError, match=r"learning_rate was 0\.01, now 0\.1"):
        finetune(encoder, data, out, **(FINISHED | {"learning_rate": 0.1}))


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_ten_steps_equal_transformers_under_plain_pytorch(model_type, tmp_path):
    transformers = pytest.importorskip("transformers")
    data = write_data(tmp_path / "data")
    model = write_model(
        tmp_path / "model", model_type=model_type, dropout=0.0, head=["NEGATIVE", "POSITIVE"]
    )
    finetune(
        model,
        data,
        tmp_path / "run",
        new_head=False,
        max_steps=10,
        accumulate=2,
        weight_decay=0.01,
        max_grad_norm=None,
        learning_rate=1e-3,
        schedule=Schedule(decay="constant", warmup_ratio=0),
        evaluations_per_epoch=8,
    )
    lines = read_metrics(tmp_path / "run/seed-0")
    ours = [line.values["loss"] for line in lines if line.kind == "train"]

    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(model).train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    matrices = [p for p in theirs.parameters() if p.ndim >= 2]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}],
        lr=1e-3,
    )
    rows = read_lines(Path(data) / "train.jsonl")
    losses = []
    for chosen in batches_of_text(rows, AutoTokenizer.from_pretrained(model), steps=10):
        inputs = tokenizer([r["sentence"] for r in chosen], padding=True, return_tensors="pt")
        loss = theirs(**inputs, labels=torch.tensor([r["label"] for r in chosen])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(ours) == 10
    assert ours == pytest.approx(losses, abs=1e-5)
    assert losses[-1] != pytest.approx(losses[0], abs=1e-3)


def batches_of_text(rows, tokenizer, *, steps):
    """Yields the rows of each step, in the order in which `finetune` takes them."""
    ids = tokenizer([row["sentence"] for row in rows])["input_ids"]
    examples = EncodedExamples.of(
        EncodedExample(index=i, input_ids=tokens, token_type_ids=None, label=None)
        for i, tokens in enumerate(ids)
    )
    task = ClassificationTask(
        name="any", metric="accuracy", splits={}, labels=("no", "yes"), encoding=TextEncoding()
    )
    batches = TrainBatches(task, examples, batch_size=8, accumulate=1, pad_token_id=0, seed=0)
    order = [*batches.epoch_order(0), *batches.epoch_order(1)]
    for chosen in order[:steps]:
        yield [rows[i] for i in chosen]


def test_the_card_says_the_epochs_that_were_made(encoder, data, tmp_path):
    changes = {"epochs": 3, "max_steps": 6, "evaluations_per_epoch": 4, "learning_rate": 1e-9}
    result = finetune(encoder, data, tmp_path / "run", **changes)
    (record,) = result.seeds
    assert (record.best_step, record.num_epochs) == (2, 0.75)  # of equal ones, the first
    for folder in ("model", "seed-0/model"):
        card = (tmp_path / "run" / folder / "README.md").read_text(encoding="utf-8")
        assert "| Steps | 6 |\n| Epochs | 0.75, the best after 0.25 |" in card
        assert "Validation chose the best epoch" in card


def test_a_card_says_only_of_a_choice_that_there_was_one(encoder, data, tmp_path):
    finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=8)
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "| Epochs | 1, the best after 1 |" in card
    assert "Validation chose the best epoch" not in card


def test_a_test_split_without_labels_is_predicted_and_not_scored(encoder, tmp_path):
    data = write_data(tmp_path / "data", test_labelled=False)
    result = finetune(encoder, data, tmp_path / "run", max_steps=1)
    assert result.seeds[0].test is None
    predictions = read_lines(tmp_path / "run/seed-0/predictions.jsonl")
    unlabelled = [p for p in predictions if p["split"] == "test"]
    assert len(unlabelled) == 16
    assert all(p["label"] is None and p["prediction"] for p in unlabelled)
