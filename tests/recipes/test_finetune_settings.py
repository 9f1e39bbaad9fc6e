"""Settings of a fine-tuning: where they come from, what each does, and what is refused."""

import pytest
import torch
from tiny_task import finetune, make_settings, read_weights, write_model

from limbeck.checkpoints import write_safetensors
from limbeck.config import dump_toml, read_settings
from limbeck.errors import DataError, SettingsError, TrainingError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune import FinetuneSettings, plan, run
from limbeck.train import SilentProgress, read_metrics


def test_accumulation_changes_nothing(data, tmp_path):
    model = write_model(tmp_path / "model", dropout=0.0)
    for parts in (1, 3, 8):
        finetune(model, data, tmp_path / f"run-{parts}", accumulate=parts, batch_size=12, epochs=1)
    whole = read_metrics(tmp_path / "run-1/seed-0")
    for parts in (3, 8):
        lines = read_metrics(tmp_path / f"run-{parts}/seed-0")
        for first, second in zip(whole, lines, strict=True):
            assert first.values["loss"] == pytest.approx(second.values["loss"], abs=1e-6)


def test_settings_come_from_files_and_overrides(encoder, data, tmp_path):
    values = make_settings(encoder, {"train": f"{data}/train.jsonl"}, tmp_path / "run", epochs=3)
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
    three = write_model(tmp_path / "three", head=["a", "b", "c"])
    with pytest.raises(DataError, match=r"labels \(a, b, c\) are not the task's"):
        finetune(three, data, out, new_head=False)
    with pytest.raises(SettingsError, match=r"epochs = 0 .*> 0"):
        finetune(encoder, data, out, epochs=0)
    with pytest.raises(SettingsError, match=r"seeds = \(1, 2, 1\): give each seed once"):
        finetune(encoder, data, out, seeds=(1, 2, 1))
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 9}, r"accumulate = 9 .*batch_size = 8\); accepted: accumulate = 1 to 8"),
        ({"keep_layers": 3}, r"keep_layers, of .*: layers = 3: .* 2 layers; accepted: 1 to 2"),
        ({"keep_layers": [0, 2]}, r"layers = \[0, 2\]: the teacher's layers are 0 to 1"),
        (
            {"start": [{"method": "keep_layers", "layers": [0, 1], "num_student_layers": 1}]},
            r"start, of .*layers = \[0, 1\] are 2, but num_student_layers = 1",
        ),
        (
            {"start": [{"method": "keep_layers", "layers": 1, "model_type": "mpnet"}]},
            r"start, of .*'mpnet' has no place for .*accepted: model_type = 'bert'",
        ),
        ({"device": "nowhere"}, r"device = 'nowhere' can't be used"),
        ({"device": "meta"}, r"device = 'meta' can't compute with precision = 'fp32': .*auto or"),
        ({"betas": [1.0, 0.9]}, r"betas\[0\] = 1.0 is not accepted.*>= 0 and < 1"),
        ({"seeds": [-1]}, r"seeds = .-1.*: give whole numbers from 0 to 9223372036854775807"),
        ({"learning_rate": float("inf")}, r"learning_rate = inf .*a finite number > 0"),
        ({"epochs": float("inf")}, r"epochs = inf .*a finite number > 0"),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(encoder, data, tmp_path, changes, message):
    out = tmp_path / "run"
    for go in (plan, lambda settings: run(settings, progress=SilentProgress())):
        with pytest.raises(SettingsError, match=message):
            go(make_settings(encoder, data, out, **changes))
    assert not out.exists()


def test_the_depth_of_a_dry_run_is_that_of_the_student(encoder, data, tmp_path):
    found = plan(make_settings(encoder, data, tmp_path / "run", keep_layers=1))
    assert found["num_layers"] == 1


def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path):
    model = write_model(tmp_path / "model")
    tensors = read_weights(tmp_path / "model")
    name = next(name for name in tensors if name.endswith("LayerNorm.weight"))
    tensors[name] = torch.full_like(tensors[name], 3e38)
    write_safetensors(tmp_path / "model/model.safetensors", tensors)
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan .*weights were not changed"):
        finetune(model, data, tmp_path / "run")
