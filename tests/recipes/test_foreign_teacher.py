"""Teachers of families that only `transformers` has: learned from, scored, and made smaller."""

from __future__ import annotations

import sys

import pytest
import torch
import transformers
from foreign_teacher import write_foreign
from tiny_compress import make_settings as compress_settings
from tiny_task import Lines, assert_same_weights, finetune, read_lines

from limbeck.errors import CheckpointError, MissingExtraError, MissingHeadError, SettingsError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes import compress, evaluate
from limbeck.runs import EvaluateRecord, FinetuneRecord
from limbeck.train import SilentProgress

CLASS = "ErnieForSequenceClassification"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_foreign(tmp_path_factory.mktemp("foreign") / "teacher")


def score(model, data, out):
    settings = evaluate.EvaluateSettings.from_values(
        {"model": model, "data": data, "out": str(out), "max_length": 16, "device": "cpu"}
    )
    return evaluate.run(settings, progress=SilentProgress())


def test_it_is_scored_as_transformers_scores_it(tmp_path, data, teacher):
    record = score(teacher, data, tmp_path / "run")
    assert record.scores["accuracy"] >= 0.9
    assert record.adapter.model_dump() == {
        "name": "transformers",
        "version": transformers.__version__,
        "model_class": CLASS,
    }
    assert EvaluateRecord.read(tmp_path / "run").adapter == record.adapter
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(teacher).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(teacher)
    rows = read_lines(tmp_path / "run/predictions.jsonl")
    texts = [row["text"] for row in rows]
    with torch.no_grad():
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        expected = theirs(**inputs).logits.softmax(-1)
    assert len(rows) == 24
    for row, scores in zip(rows, expected.tolist(), strict=True):
        assert row["scores"] == pytest.approx(scores, abs=1e-5)


LOSSES = {
    "logits": {},
    "states": {
        "soft_targets": {"weight": 4},
        "cosine": {"weight": 0.5},
        "hidden_mse": {"weight": 0.1, "teacher_layers": [1, 3]},
    },
}


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_a_student_learns_from_it(tmp_path, data, encoder, teacher, losses):
    lines = Lines()
    given = {"teacher": teacher, "losses": losses, "label_weight": 0.0, "epochs": 8}
    record = finetune(encoder, data, tmp_path / "run", progress=lines, **given)
    assert record.best.validation["accuracy"] >= 0.9
    assert record.adapter.model_class == CLASS
    assert FinetuneRecord.read(tmp_path / "run").adapter == record.adapter
    said = f"teacher {teacher}: {CLASS}, run by transformers {transformers.__version__}"
    assert said in lines.lines


def test_its_logits_are_the_same_from_the_cache(tmp_path, data, encoder, teacher, monkeypatch):
    given = {"teacher": teacher, "label_weight": 0.0}
    finetune(encoder, data, tmp_path / "live", **given)
    for run in ("first", "second"):
        finetune(encoder, data, tmp_path / run, teacher_cache=str(tmp_path / "cache"), **given)
        assert_same_weights(tmp_path / "live/model", tmp_path / run / "model")


def test_what_it_can_not_show_is_refused(tmp_path, data, encoder, teacher):
    with pytest.raises(
        SettingsError,
        match=r"losses.attention_mse compares the models' attention_scores, but teacher = .* is a "
        r"model that transformers runs, which gives hidden_states, last_hidden_state, logits, "
        r"pooled only; accepted with it: cosine, feature_map_mse, hidden_mse, .*soft_tar",
    ):
        finetune(encoder, data, tmp_path / "run", teacher=teacher, losses={"attention_mse": {}})
    assert not (tmp_path / "run").exists()


def test_states_of_a_model_that_has_fewer_than_tokens_are_refused(tmp_path, data, encoder):
    shape = {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 20, "block_sizes": [1, 1]}

    funnel = write_foreign(tmp_path / "funnel", family="funnel", steps=1, **shape)
    with pytest.raises(
        SettingsError,
        match=r"losses.cosine compares states of tokens, but .*/funnel is a FunnelForSequenceClass",
    ):
        finetune(encoder, data, tmp_path / "run", teacher=funnel, losses={"cosine": {}})
    finetune(encoder, data, tmp_path / "logits", teacher=funnel, max_steps=1)


def test_it_can_not_be_trained(tmp_path, data, teacher):
    with pytest.raises(
        CheckpointError,
        match=r"model_type 'ernie'; accepted: .*bert.* can be teachers, and be scored, with: pip",
    ):
        finetune(teacher, data, tmp_path / "run")


def test_one_without_its_head_is_refused(tmp_path, data, encoder):
    bare = write_foreign(tmp_path / "bare", auto="AutoModelForMaskedLM", steps=0)
    with pytest.raises(
        MissingHeadError,
        match=r"teacher = .*has no head that is fine-tuned.*ErnieForMaskedLM; needed is an ernie",
    ):
        finetune(encoder, data, tmp_path / "run", teacher=bare)


def test_without_the_extra_the_pip_line_is_given(tmp_path, data, encoder, teacher, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"limbeck\[transformers\]\""):
        finetune(encoder, data, tmp_path / "run", teacher=teacher)


def test_it_is_made_smaller_by_a_student_of_ours(tmp_path, data, encoder, teacher):
    out = tmp_path / "run"
    settings = compress_settings(teacher, data, out, student=encoder, retain=0.8, epochs=6)
    plan = compress.plan(settings)
    assert list(plan["students"]) == ["encoder"]
    record = compress.run(settings, progress=SilentProgress())
    assert record.chosen == "encoder"
    names = [model.role for model in record.models]
    assert names == ["teacher", "student"]
    assert record.models[0].num_layers == 3
    AutoModelForSequenceClassification.from_pretrained(out / "model")
    transformers.AutoModelForSequenceClassification.from_pretrained(out / "model")
    teacher_run = EvaluateRecord.read(out / "teacher/validation")
    assert teacher_run.adapter.model_class == CLASS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"is no model of a family that Limbeck has, so no student can be made of its layers"),
        ({"depths": (2,)}, r"depths: .* leave it out and give student=MODEL"),
    ],
)
def test_no_student_is_made_of_its_layers(tmp_path, data, teacher, changes, message):
    settings = compress_settings(teacher, data, tmp_path / "run", **changes)
    with pytest.raises(SettingsError, match=message):
        compress.run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()
