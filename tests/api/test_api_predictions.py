"""Predictions as the teacher from Python: rows in memory, frames, files."""

import json

import polars
import pytest
from tiny_rows import FAST, NAMES, TRAIN, VALIDATION
from tiny_task import write_model

import limbeck
from limbeck.errors import SettingsError


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student", num_hidden_layers=1)


SAID = [{"text": row["text"], "label": row["label"], "confidence": 0.8} for row in TRAIN]
OF_VALIDATION = [{"text": row["text"], "label": row["label"]} for row in VALIDATION]


def test_predictions_in_memory_teach_without_any_labelled_row(tmp_path, student):
    result = limbeck.finetune(
        student,
        validation=VALIDATION,
        teacher=polars.DataFrame(SAID),
        epochs=12,
        out=tmp_path / "run",
        **FAST,
    )
    assert result.scores["accuracy"] > 0.7
    path = tmp_path / "run/data/teacher.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == SAID
    settings = {"epochs": 1, "teacher": str(path), **FAST}
    other = limbeck.finetune(student, validation=VALIDATION, out=tmp_path / "other", **settings)
    assert other.record.role == "student"
    with pytest.raises(SettingsError, match=r"limbeck.finetune has no train rows, which it needs"):
        limbeck.finetune(student, validation=VALIDATION, out=tmp_path / "third", **FAST)


@pytest.mark.slow
def test_predictions_in_memory_are_made_a_model(tmp_path, student):
    result = limbeck.compress(
        SAID + OF_VALIDATION,
        validation=VALIDATION,
        student=student,
        epochs=12,
        retain=0.6,
        out=tmp_path / "run",
        **FAST,
    )
    assert result.record.models[0].score == 1.0
    assert set(result.model.config.id2label.values()) == set(NAMES)
