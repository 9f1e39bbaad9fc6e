"""Compression without a teacher model: from a file of predictions, or from a server."""

import json
import re
from pathlib import Path

import pytest
import transformers
from tiny_compress import make_settings
from tiny_server import label_of, serving
from tiny_task import LABELS, write_model

from limbeck.errors import DataError, SettingsError
from limbeck.recipes.compress import plan, run, summarise
from limbeck.recipes.finetune.teachers.server import client as _client
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    folder = tmp_path_factory.mktemp("students")
    return [
        write_model(folder / "large", num_hidden_layers=2),
        write_model(folder / "small", num_hidden_layers=1, hidden_size=8),
    ]


def rows_of(data, *splits):
    lines = [
        line
        for split in splits
        for line in Path(f"{data}/{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def said(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("said") / "said.jsonl"
    rows = [
        {"sentence": r["sentence"], "label": LABELS[label_of(r["sentence"])], "confidence": 0.9}
        for r in rows_of(data, "train", "validation", "test")
    ]
    rows[70]["label"] = LABELS[1 - LABELS.index(rows[70]["label"])]  # one of validation is wrong
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def validation_alone(data):
    return {split: f"{data}/{split}.jsonl" for split in ("validation", "test")}


@pytest.mark.slow
def test_predictions_and_students_are_enough(tmp_path, data, students, said):
    """No labels but those of validation: the training texts are those of the file."""
    settings = make_settings(
        said, validation_alone(data), tmp_path / "run", student=students, epochs=15, retain=0.9
    )
    planned = plan(settings)
    assert set(planned["students"]) == {"large", "small"}
    assert "num_layers" not in planned
    assert planned["num_transfer_examples"] > 50
    result = run(settings, progress=SilentProgress())
    teacher, *made = result.models
    assert (teacher.name, teacher.num_parameters, teacher.speed_up) == ("teacher", 0, None)
    assert teacher.score == pytest.approx(1 - 1 / 24)
    assert all(model.latency_ms > 0 for model in made)
    assert result.chosen in {"large", "small"}
    assert "parameters." in result.headline
    assert "instead of" not in result.headline
    assert re.search(r"^teacher +– +– +– +95\.8 ", summarise(result), re.M)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(result.model)
    assert list(model.config.id2label.values()) == LABELS
    assert run(settings, progress=SilentProgress()) == result
    page = (tmp_path / "run/compress.html").read_text(encoding="utf-8")
    assert "the teacher is no model" in page.replace("\u00a0", " ")
    assert "said.jsonl to " in (tmp_path / "run/model/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_server_labels_each_text_once_for_all_students(tmp_path, data, students, monkeypatch):
    monkeypatch.setattr(_client, "_SECONDS_BEFORE_SECOND_TRY", 0.01)
    with serving() as server:
        settings = make_settings(
            "openai://tiny",
            data,
            tmp_path / "run",
            student=students,
            epochs=8,
            retain=0.6,
            teacher_options={"base_url": f"{server.url}/v1", "output_price": 1.0},
        )
        texts = {row["sentence"] for row in rows_of(data, "train", "validation", "test")}
        assert plan(settings)["teacher_texts_to_ask"] == len(texts)
        assert server.num_requests == 0
        result = run(settings, progress=SilentProgress())
        assert server.answered == dict.fromkeys(texts, 1)
        assert result.models[0].score == 1.0
        assert result.chosen in {"large", "small"}


def test_what_a_file_of_predictions_can_not_be(tmp_path, data, students, said):
    def refused(message, error=SettingsError, model=said, **changes):
        with pytest.raises(error, match=message):
            run(make_settings(model, data, tmp_path / "run", **changes), progress=SilentProgress())

    none = r"said.jsonl is no model of a family that Limbeck has, so .* student=MODEL"
    refused(none)
    refused(rf"depths: .*{none}", depths=(1,), student=students)
    rows = [
        {"sentence": row["sentence"], "label": LABELS[row["label"]]}
        for row in rows_of(data, "train")
    ]
    path = tmp_path / "train-only.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    refused(
        r"says nothing of \d+ of the 24 texts of validation, such as '.*', so that it has no score "
        r"there .* limbeck finetune STUDENT --teacher .*train-only.jsonl",
        error=DataError,
        model=str(path),
        student=students,
    )
