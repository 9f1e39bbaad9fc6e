"""Fine-tuning: what a run writes, that it learns, resumes exactly, and says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_task import write_data, write_model

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.config import dump_toml, read_settings
from limbeck.errors import DataError, SettingsError, TrainingError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune import FinetuneSettings, plan, run, summarise
from limbeck.runs import FinetuneRecord, SeedRecord
from limbeck.tasks import EncodedExample, TrainBatches
from limbeck.tasks._classification import ClassificationTask
from limbeck.tasks._texts import TextEncoding
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Schedule, SilentProgress, read_metrics


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "task")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "encoder")


def make_settings(model, data, out, **changes):
    values = {
        "model": model,
        "data": data,
        "out": out,
        "max_length": 16,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "epochs": 3,
        "log_every": 1,
        "device": "cpu",
    }
    return FinetuneSettings(**(values | changes))


def finetune(*arguments, **changes):
    return run(make_settings(*arguments, **changes), progress=SilentProgress())


FINISHED = {
    "seeds": (0, 3),
    "label": "Tiny",
    "role": "teacher",
    "learning_rate": 1e-2,
    "epochs": 5,
}


def weights(folder):
    return read_safetensors(Path(folder) / "model.safetensors")


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def finished(encoder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "finished"
    return out, run(make_settings(encoder, data, out, **FINISHED), progress=SilentProgress())


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
    assert [record.seed for record in result.seeds] == [0, 3]
    assert [record.folder for record in result.seeds] == ["seed-0", "seed-3"]
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
    more = finetune(encoder, data, out, **(FINISHED | {"seeds": (0, 3, 1)}))
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
    examples = [
        EncodedExample(index=i, input_ids=tokens, token_type_ids=None, label=None)
        for i, tokens in enumerate(ids)
    ]
    task = ClassificationTask(
        name="any", metric="accuracy", splits={}, labels=("no", "yes"), encoding=TextEncoding()
    )
    batches = TrainBatches(task, examples, batch_size=8, accumulate=1, pad_token_id=0, seed=0)
    order = [*batches.epoch_order(0), *batches.epoch_order(1)]
    for chosen in order[:steps]:
        yield [rows[i] for i in chosen]


def test_accumulation_changes_nothing(data, tmp_path):
    model = write_model(tmp_path / "model", dropout=0.0)
    for parts in (1, 3, 8):
        finetune(model, data, tmp_path / f"run-{parts}", accumulate=parts, batch_size=12, epochs=1)
    whole = read_metrics(tmp_path / "run-1/seed-0")
    for parts in (3, 8):
        lines = read_metrics(tmp_path / f"run-{parts}/seed-0")
        for first, second in zip(whole, lines, strict=True):
            assert first.values["loss"] == pytest.approx(second.values["loss"], abs=1e-6)


class _StopError(Exception):
    pass


class StoppingProgress(SilentProgress):
    """Ends the run as abruptly as an exception can, when a line has been logged so often."""

    def __init__(self, after):
        self._left = after

    def log(self, message):
        self._left -= 1
        if not self._left:
            raise _StopError


INTERRUPTED = {"seeds": (0, 1), "save_every": 3, "epochs": 2, "evaluations_per_epoch": 2}


@pytest.fixture(scope="module")
def uninterrupted(encoder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, finetune(encoder, data, out, **INTERRUPTED)


@pytest.mark.parametrize("after", [4, 5, 6, 8])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    uninterrupted, encoder, data, tmp_path, after
):
    out, expected = uninterrupted
    settings = make_settings(encoder, data, tmp_path / "stopped", **INTERRUPTED)
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(after))
    result = run(settings, progress=SilentProgress())
    for folder in ("seed-0", "seed-1"):
        whole, stopped = out / folder, tmp_path / "stopped" / folder
        assert_same_weights(whole / "model", stopped / "model")
        lines = [read_metrics(whole), read_metrics(stopped)]
        for first, second in zip(*lines, strict=True):
            assert (first.kind, first.step) == (second.kind, second.step)
            assert first.values["loss"] == second.values["loss"]
    for first, second in zip(expected.seeds, result.seeds, strict=True):
        same_time = first.model_copy(update={"elapsed_seconds": second.elapsed_seconds})
        assert same_time == second


def test_a_run_does_not_go_on_with_other_examples(encoder, tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(encoder, data, tmp_path / "stopped", save_every=3)
    with pytest.raises(_StopError):
        run(settings, progress=StoppingProgress(4))
    finetune(encoder, data, tmp_path / "finished", max_steps=2)
    path = tmp_path / "data/train.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
    message = r"seed-0 was begun with other examples than data = '.*' has now; give another out="
    with pytest.raises(DataError, match=message):
        run(settings, progress=SilentProgress())
    with pytest.raises(DataError, match=message):
        finetune(encoder, data, tmp_path / "finished", max_steps=2)
    path.write_text(whole, encoding="utf-8")
    finetune(encoder, data, tmp_path / "finished", max_steps=2)
    run(settings, progress=SilentProgress())


def test_kill_minus_nine_and_start_again(encoder, data, tmp_path):
    changes = {"save_every": 1}
    settings = make_settings(encoder, data, tmp_path / "killed", **changes)
    code = (
        "import sys\n"
        "from limbeck.recipes.finetune import FinetuneSettings, run\n"
        "from limbeck.train import SilentProgress\n"
        "import torch; torch.set_num_threads(int(sys.argv[2]))\n"
        "run(FinetuneSettings.model_validate_json(sys.argv[1]), progress=SilentProgress())\n"
    )
    arguments = [settings.model_dump_json(), str(torch.get_num_threads())]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    checkpoints = tmp_path / "killed/seed-0/checkpoints"
    deadline = time.monotonic() + 60
    while not any(checkpoints.glob("step-*[5-9]")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert checkpoints.exists()
    run(settings, progress=SilentProgress())
    finetune(encoder, data, tmp_path / "whole", **changes)
    assert_same_weights(tmp_path / "whole/seed-0/model", tmp_path / "killed/seed-0/model")


@pytest.mark.parametrize(("epoch", "step"), [("1", 8), ("1.25", 10)])
def test_ctrl_c_saves_and_the_run_goes_on(encoder, data, tmp_path, epoch, step):
    """During a validation on the way, or during the last one, which no step follows."""

    class InterruptingProgress(SilentProgress):
        def log(self, message):
            if f"epoch {epoch}:" in message:
                os.kill(os.getpid(), signal.SIGINT)

    finetune(encoder, data, tmp_path / "whole", max_steps=10)
    settings = make_settings(encoder, data, tmp_path / "interrupted", max_steps=10)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=InterruptingProgress())
    assert (tmp_path / f"interrupted/seed-0/checkpoints/step-{step:08d}").is_dir()
    run(settings, progress=SilentProgress())
    assert_same_weights(tmp_path / "whole/seed-0/model", tmp_path / "interrupted/seed-0/model")


def test_settings_come_from_files_and_overrides(encoder, data, tmp_path):
    values = make_settings(encoder, {"train": f"{data}/train.jsonl"}, tmp_path / "run")
    path = tmp_path / "run.toml"
    path.write_text(dump_toml(values), encoding="utf-8")
    overrides = [
        f"data.validation={data}/validation.jsonl",
        "task_options.text_column=sentence",
        "seeds=[1, 2]",
    ]
    settings = read_settings(FinetuneSettings, path, overrides)
    assert settings.data == {k: f"{data}/{k}.jsonl" for k in ("train", "validation")}
    assert settings.task_options == {"text_column": "sentence"}
    assert settings.seeds == (1, 2)
    assert settings.learning_rate == 3e-3
    planned = plan(settings)
    assert (planned["num_train_examples"], planned["steps_per_epoch"]) == (64, 8)
    assert planned["max_steps"] == 24
    assert not settings.out.exists()


def test_random_weights_need_only_the_configuration(data, tmp_path):
    model = write_model(tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    result = finetune(model, data, tmp_path / "run", initialise="random", max_steps=2)
    assert result.initialise == "random"
    assert result.seeds[0].num_steps == 2
    assert result.seeds[0].num_epochs == 0.25
    assert result.seeds[0].best_epoch == 0.25


def test_the_card_says_the_epochs_that_were_made(encoder, data, tmp_path):
    changes = {"epochs": 3, "max_steps": 6, "evaluations_per_epoch": 4, "learning_rate": 1e-9}
    result = finetune(encoder, data, tmp_path / "run", **changes)
    (record,) = result.seeds
    assert (record.best_step, record.num_epochs) == (2, 0.75)  # of equal ones, the first
    for folder in ("model", "seed-0/model"):
        card = (tmp_path / "run" / folder / "README.md").read_text(encoding="utf-8")
        assert "| Steps | 6 |\n| Epochs | 0.75, the best after 0.25 |" in card


def test_a_test_split_without_labels_is_predicted_and_not_scored(encoder, tmp_path):
    data = write_data(tmp_path / "data", test_labelled=False)
    result = finetune(encoder, data, tmp_path / "run", max_steps=1)
    assert result.seeds[0].test is None
    predictions = read_lines(tmp_path / "run/seed-0/predictions.jsonl")
    unlabelled = [p for p in predictions if p["split"] == "test"]
    assert len(unlabelled) == 16
    assert all(p["label"] is None and p["prediction"] for p in unlabelled)


def test_layer_decay_and_time_budget(encoder, data, tmp_path):
    result = finetune(
        encoder, data, tmp_path / "run", layer_decay=0.5, max_minutes=1e-6, evaluations_per_epoch=4
    )
    assert result.seeds[0].num_steps == 1
    start = AutoModelForSequenceClassification.from_pretrained(
        encoder, new_head=True, num_labels=2
    ).state_dict()
    end = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run/model").state_dict()
    names = [f"encoder.layers.{i}.attention.value.weight" for i in (0, 1)]
    moved = [float((end[name] - start[name]).abs().max()) for name in names]
    # The first step of AdamW moves every weight by about its learning rate.
    assert moved[1] == pytest.approx(2 * moved[0], rel=0.05)


def test_other_columns_labels_and_pairs(tmp_path):
    model = write_model(tmp_path / "model")
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["premise,hypothesis,verdict"]
    lines += [
        f"the film is good,a story about {w},{v}" for w, v in [("men", "yes"), ("rain", "no")]
    ]
    for name in ("train", "validation"):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {
        "text_column": "premise",
        "text_pair_column": "hypothesis",
        "label_column": "verdict",
        "metric": "macro_f1",
    }
    result = finetune(
        model, str(folder), tmp_path / "run", task="text-classification", task_options=options
    )
    assert result.metric == "macro_f1"
    assert result.seeds[0].test is None
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run/model")
    assert trained.config.id2label == {0: "no", 1: "yes"}


def test_what_cannot_work_is_refused_before_a_run_folder_is_made(encoder, data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(SettingsError, match=r"max_length = 64, but the model has 32 positions"):
        finetune(encoder, data, out, max_length=64)
    only = {"train": f"{data}/train.jsonl"}
    with pytest.raises(DataError, match=r"has no validation split.*data\.validation=FILE"):
        finetune(encoder, only, out)
    small = write_model(tmp_path / "small", vocab_size=20)
    with pytest.raises(SettingsError, match=r"the tokenizer has \d+ pieces, but .* embeds 20"):
        finetune(small, data, out)
    swapped = write_model(tmp_path / "swapped", head=["POSITIVE", "NEGATIVE"])
    with pytest.raises(SettingsError, match=r"\(POSITIVE, NEGATIVE\) stand in another order"):
        finetune(swapped, data, out, new_head=False)
    three = write_model(tmp_path / "three", head=["a", "b", "c"])
    with pytest.raises(DataError, match=r"labels \(a, b, c\) are not the task's"):
        finetune(three, data, out, new_head=False)
    with pytest.raises(SettingsError, match=r"epochs = 0 .*> 0"):
        finetune(encoder, data, out, epochs=0)
    with pytest.raises(SettingsError, match=r"seeds = \(1, 2, 1\): give each seed once"):
        finetune(encoder, data, out, seeds=(1, 2, 1))
    assert not out.exists()


def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path):
    model = write_model(tmp_path / "model")
    tensors = weights(tmp_path / "model")
    name = next(name for name in tensors if name.endswith("LayerNorm.weight"))
    tensors[name] = torch.full_like(tensors[name], float("inf"))
    write_safetensors(tmp_path / "model/model.safetensors", tensors)
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan .*weights were not changed"):
        finetune(model, data, tmp_path / "run")
