"""What every task of the room must do, whatever its kind."""

import json
from pathlib import Path

import pytest
import torch
from task_examples import EXAMPLES, TEXTS

from limbeck import BertConfig, listing
from limbeck.errors import SettingsError
from limbeck.inference.engines.torch import TorchEngine
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.tasks import collate, load_task, read_task, remove_padding, restore_padding
from limbeck.tokenizers import train_wordpiece

TASKS = listing.list_names("limbeck.tasks")


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece([*TEXTS, "what who 0 1 2 3 PER Anna Rome"], vocab_size=150)


@pytest.fixture
def task(request, tmp_path):
    return read_task(request.param, write(tmp_path, request.param), options=options(request.param))


def options(name):
    return EXAMPLES[name].options


def write(folder: Path, name, *, test_is_labelled=True):
    data = EXAMPLES[name]
    for split in ("train", "validation", "test"):
        hidden = {} if test_is_labelled or split != "test" else data.unlabelled
        lines = [json.dumps(row | hidden) + "\n" for row in data.rows]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    for part, rows in data.beside.items():
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    return str(folder)


def make_model(task, tokenizer):
    """Returns a tiny BERT with the task's head, no dropout, and weights wide enough to tell."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).replace(**task.head())
    return task.auto_model.from_config(config).eval()


def run(task, model, encoded, chosen, tokenizer):
    batch = collate(task, encoded, chosen, pad_token_id=tokenizer.pad_token_id)
    return batch, task.logits(model(**batch.inputs()), batch)


every_task = pytest.mark.parametrize("task", TASKS, indirect=True)


@pytest.mark.parametrize("name", TASKS)
def test_it_is_documented_and_has_data_for_these_tests(name):
    module = listing.load("limbeck.tasks", name)
    assert module.__doc__
    definition = load_task(name)
    assert all(field.description for field in definition.settings.model_fields.values())
    assert name in EXAMPLES, f"add small data for {name} to task_examples.py"
    assert definition.hub is None or definition.hub.startswith("hf://")


@every_task
def test_an_engine_predicts_what_the_model_does(task, tokenizer):
    model = make_model(task, tokenizer)
    encoded = task.encode(task.splits["validation"], tokenizer, max_length=24)
    given, expected = (
        predict_logits(task, runner, encoded, batch_size=3, pad_token_id=tokenizer.pad_token_id)
        for runner in (TorchEngine(model, device="cpu"), model)
    )
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other)


@every_task
def test_every_example_has_a_prediction_that_json_can_hold_and_a_score(task, tokenizer):
    model = make_model(task, tokenizer)
    split = task.splits["validation"]
    encoded = task.encode(split, tokenizer, max_length=32)
    indices = sorted({row.index for row in encoded})  # what a corpus adds comes after
    assert indices[: len(split.examples)] == list(range(len(split.examples)))
    with torch.no_grad():
        batch, logits = run(task, model, encoded, range(len(encoded)), tokenizer)
    records = task.predict(split, encoded, remove_padding(task, logits, batch))
    assert json.loads(json.dumps(records)) == records
    assert [record["index"] for record in records] == list(range(len(split.examples)))
    assert all({"label", "prediction"} <= set(record) for record in records)
    scores = task.score(split, records)
    assert task.metric in scores
    assert all(isinstance(value, int | float) for value in scores.values())
    json.dumps(task.details(split, records))


@every_task
def test_the_loss_is_finite_has_a_gradient_and_does_not_see_padding(task, tokenizer):
    if not task.is_trainable:
        pytest.skip("nothing to train")
    model = make_model(task, tokenizer)
    encoded = task.encode(task.splits["train"], tokenizer, max_length=32)
    batch, logits = run(task, model, encoded, range(len(encoded)), tokenizer)
    together = task.loss_sum(logits, batch)
    together.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert torch.isfinite(together)
    assert together > 0
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.abs().sum() > 0 for g in gradients)
    alone, count = 0.0, 0
    for number in range(len(encoded)):
        single, scores = run(task, model, encoded, [number], tokenizer)
        alone += float(task.loss_sum(scores, single).detach())
        count += task.loss_count(single)
    assert float(together.detach()) == pytest.approx(alone, rel=1e-4)
    assert count == task.loss_count(batch)


@every_task
def test_padding_is_taken_off_and_put_back_and_distributions_do_not_see_it(task, tokenizer):
    model = make_model(task, tokenizer)
    encoded = task.encode(task.splits["train"], tokenizer, max_length=32)
    with torch.no_grad():
        batch, logits = run(task, model, encoded, range(len(encoded)), tokenizer)
        rows = remove_padding(task, logits, batch)
        torch.testing.assert_close(restore_padding(rows), logits)
        together = task.distributions(logits, task.counted(batch)).log_softmax(-1)
        assert len(together) == task.num_distributions(batch)
        apart = []
        for number in range(len(encoded)):
            single, scores = run(task, model, encoded, [number], tokenizer)
            values = task.distributions(scores, task.counted(single)).log_softmax(-1)
            assert len(values) == task.num_distributions(single)
            apart.append(values.exp().square().sum())
    if task.targets == "categorical":
        total = together.exp().square().sum()
        assert float(total) == pytest.approx(float(torch.stack(apart).sum()), rel=1e-4)


@pytest.mark.parametrize("name", TASKS)
def test_a_test_set_without_labels_is_predicted_not_scored(name, tmp_path, tokenizer):
    task = read_task(name, write(tmp_path, name, test_is_labelled=False), options=options(name))
    split = task.splits["test"]
    assert not split.is_labelled
    model = make_model(task, tokenizer)
    encoded = task.encode(split, tokenizer, max_length=32)
    with torch.no_grad():
        batch, logits = run(task, model, encoded, range(len(encoded)), tokenizer)
    assert batch.labels is None
    assert len(task.distributions(logits, task.counted(batch))) == task.num_distributions(batch)
    records = task.predict(split, encoded, remove_padding(task, logits, batch))
    assert all(record["label"] is None for record in records)
    submission = task.submission(split, records)
    if submission is not None:
        name, content = submission
        if name.endswith(".json"):
            assert list(json.loads(content)) == [record["id"] for record in records]
        else:
            assert name.endswith(".tsv")
            assert len(content.splitlines()) == len(records) + 1


def test_a_tasks_own_defaults_keep_what_their_options_accept_and_say():
    general, own = load_task("text-classification").settings, load_task("cola").settings
    assert {*own.model_fields} == {*general.model_fields}
    for name, field in own.model_fields.items():
        assert field.description == general.model_fields[name].description
    assert own().metric == "matthews_correlation"
    with pytest.raises(SettingsError, match=r"labels = \['a'\]: give at least two labels"):
        own(labels=["a"])
    with pytest.raises(SettingsError, match=r"'acuracy' is not acc.*'accuracy'.*'accuracy_f1'"):
        own(metric="acuracy")


@pytest.mark.parametrize(
    ("name", "metric"), [("stsb", "spearman"), ("ner", "recall"), ("squad", "exact_match")]
)
def test_every_kind_can_be_led_by_another_of_its_metrics(name, metric, tmp_path):
    given = options(name) | {"metric": metric}
    assert read_task(name, write(tmp_path, name), options=given).metric == metric
    with pytest.raises(SettingsError, match=r"metric = 'mean_squared_error' is not accepted"):
        load_task(name).settings.from_values({"metric": "mean_squared_error"})
