"""A file of predictions as the teacher: what rows may say, what they are matched with, refusals."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_task import LABELS, finetune, make_rows, make_settings, read_loss, write_model

from limbeck.errors import DataError, SettingsError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune import plan
from limbeck.recipes.finetune.teachers._answers import AnswerReader
from limbeck.sources import Row
from limbeck.tasks import read_task
from limbeck.tokenizers import AutoTokenizer


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS, dropout=0.0)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "student", dropout=0.0, num_hidden_layers=1
    )


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@torch.no_grad()
def ask(teacher, rows):
    """What a model says of sentences, as probabilities."""
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(teacher),
        AutoTokenizer.from_pretrained(teacher),
    )
    encoded = [tokenizer(row["sentence"]) for row in rows]
    logits = [model(input_ids=torch.tensor([e["input_ids"]])).logits[0] for e in encoded]
    return [row.double().softmax(-1).tolist() for row in logits]


@pytest.mark.parametrize("form", ["list", "object", "csv", "parquet"])
def test_a_file_teaches_what_its_model_teaches(tmp_path, data, teacher, student, form):
    """Whatever the order of rows and labels, and in whichever format."""
    rows = rows_of(f"{data}/train.jsonl")
    said = []
    for row, (bad, good) in zip(rows, ask(teacher, rows), strict=True):
        value = [bad, good] if form in ("list", "parquet") else {"positive": good, "NEGATIVE": bad}
        value = json.dumps(value) if form == "csv" else value
        said.append({"sentence": f" {row['sentence']}\n", "probabilities": value, "label": "?"})
    random.Random(1).shuffle(said)
    if form == "csv":
        path = tmp_path / "said.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(said[0]))
            writer.writeheader()
            writer.writerows(said)
    elif form == "parquet":
        import polars

        path = tmp_path / "said.parquet"
        polars.DataFrame(said).write_parquet(path)
    else:
        path = write_jsonl(tmp_path / "said.jsonl", said)
    changes = {"label_weight": 0.5, "epochs": 1}
    finetune(student, data, tmp_path / "live", teacher=teacher, **changes)
    finetune(student, data, tmp_path / "file", teacher=str(path), **changes)
    assert read_loss(tmp_path / "file") == pytest.approx(read_loss(tmp_path / "live"), abs=1e-4)


def test_predictions_and_a_validation_set_are_enough(tmp_path, data, student):
    said = [
        {"text": row["sentence"], "label": LABELS[row["label"]], "confidence": 0.9}
        for row in make_rows(40, seed=5)
    ]
    held_out = rows_of(f"{data}/validation.jsonl")
    said += [{"text": row["sentence"], "label": "negative"} for row in held_out]
    path = write_jsonl(tmp_path / "said.jsonl", said)
    files = {"validation": f"{data}/validation.jsonl"}
    planned = plan(make_settings(student, files, tmp_path / "run", teacher=path))
    assert planned["num_transfer_examples"] == len({row["text"] for row in said[:40]})
    assert planned["steps_per_epoch"] == 5
    result = finetune(student, files, tmp_path / "run", teacher=path, epochs=15)
    assert result.seeds[0].validation["accuracy"] >= 0.9
    with pytest.raises(DataError, match=r"has no train split, which this run needs"):
        finetune(student, files, tmp_path / "other")


def test_further_texts_are_learned_from_and_rows_without_prediction_may_be(tmp_path, data, student):
    train = rows_of(f"{data}/train.jsonl")
    path = write_jsonl(
        tmp_path / "said.jsonl",
        [{"sentence": row["sentence"], "label": 1} for row in [*train[4:], *make_rows(9, seed=8)]],
    )
    message = (
        r"says nothing of 4 of the 64 texts to learn from: train example 0 \('.*'\), train "
        r"example 1 .*, \.\.\.\. It has \d+ texts, .* teacher_options.missing=label"
    )
    with pytest.raises(DataError, match=message):
        plan(make_settings(student, data, tmp_path / "run", teacher=path))
    options = {"teacher": path, "teacher_options": {"missing": "label"}}
    planned = plan(make_settings(student, data, tmp_path / "run", **options))
    assert planned["num_transfer_examples"] == 9
    finetune(student, data, tmp_path / "run", epochs=1, **options)


def task_of(kind, tmp_path, labels=("bad", "fine", "good")):
    values = {
        "text_classification": list(labels),
        "multi_label_classification": [[name] for name in labels],
        "text_regression": [0.5, 1.5, 2.5],
    }[kind]
    column = "labels" if kind == "multi_label_classification" else "label"
    rows = [{"text": f"text {i}", column: value} for i, value in enumerate(values)]
    return read_task(kind, {"train": write_jsonl(tmp_path / "rows.jsonl", rows)})


def read(task, **values):
    reader = AnswerReader.of(task, renamed={}, teacher="said.jsonl")
    return reader.read(Row({"text": "a", **values}, "said.jsonl, line 7", 7))


def test_a_label_with_a_confidence_shares_the_rest_among_the_others(tmp_path):
    task = task_of("text_classification", tmp_path)
    cases = [
        ({"label": "good", "confidence": 0.7}, [0.15, 0.15, 0.7]),
        ({"label": "Good", "score": "0.7"}, [0.15, 0.15, 0.7]),
        ({"label": 2, "confidence": 0.7}, [0.15, 0.15, 0.7]),
        ({"label": "bad"}, [1 - 2e-6, 1e-6, 1e-6]),
        ({"probabilities": [0.2, 0.3, 0.5]}, [0.2, 0.3, 0.5]),
        ({"scores": {"good": 0.5, "bad": 0.2, "fine": 0.3}, "label": "bad"}, [0.2, 0.3, 0.5]),
        ({"probabilities": "[0.2, 0.3, 0.499]"}, np.array([0.2, 0.3, 0.499]) / 0.999),
        ({"logits": [0.0, 1.0, 2.0]}, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()),
    ]
    for values, expected in cases:
        logits = np.array(read(task, **values))
        found = np.exp(logits) / np.exp(logits).sum()
        assert found == pytest.approx(expected, abs=3e-6), values


def test_several_labels_and_numbers(tmp_path):
    task = task_of("multi_label_classification", tmp_path)
    for values, expected in [
        ({"labels": ["bad", "good"], "confidence": 0.8}, [0.8, 0.2, 0.8]),
        ({"labels": []}, [1e-6] * 3),
        ({"probabilities": {"bad": 0.9, "fine": 0.8, "good": 0.0}}, [0.9, 0.8, 1e-6]),
        ({"logits": [0, 1, -1]}, 1 / (1 + np.exp(-np.array([0, 1, -1])))),
    ]:
        found = 1 / (1 + np.exp(-np.array(read(task, **values))))
        assert found == pytest.approx(expected, abs=1e-9), values
    task = task_of("text_regression", tmp_path)
    assert read(task, score="2.5") == (2.5,)
    assert read(task, prediction=3, label=1) == (3.0,)


WRONG = [
    ({"label": "god"}, r"unknown label 'god' .*known: bad, fine, good. Did you mean 'good'\?"),
    ({"label": ["bad", "good"]}, r"column 'label' holds \['bad', 'good'\]; accepted: one label of"),
    ({"label": "bad", "confidence": 0.1}, r"confidence = 0.1 says .* likelier .*: 0.333 to 1"),
    ({"label": "bad", "confidence": 90}, r"confidence = 90 .*accepted: 0.333 to 1, as a share"),
    ({"label": "bad", "score": "sure"}, r"'sure' in column 'score' is not a finite number"),
    ({"probabilities": [0.5, 0.5]}, r"holds 2 numbers; accepted: 3, in the order bad, fine, good"),
    ({"probabilities": [0.5, 0.5, 0.5]}, r"add up to 1.5; accepted: 1, .* in a column 'logits'"),
    ({"probabilities": [1.5, -0.5, 0]}, r"probabilities holds 1.5; accepted: 0 to 1"),
    ({"scores": [0.5, None, 0.5]}, r"None in column 'scores' is not a finite number"),
    ({"logits": [0.5, float("nan"), 0.5]}, r"nan in column 'logits' is not a finite number"),
    ({"logits": [1e300, 0, 0]}, r"1e\+300 in column 'logits' is too large .*: up to 1e\+18"),
    ({"probabilities": "mostly bad"}, r"probabilities holds 'mostly bad'; accepted: 3, in the"),
    ({"scores": {"bad": 1}}, r"scores says nothing of fine, good; accepted: each of bad, fine"),
    ({"scores": {"bad": 1, "BAD": 0, "fine": 0, "good": 0}}, r"scores says one label twice"),
    ({"opinion": 1}, r"says nothing of its text; accepted: probabilities .*it has: text, opinion"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[str(v) for v, _ in WRONG])
def test_what_can_not_be_meant_is_refused_with_its_place(tmp_path, values, message):
    task = task_of("text_classification", tmp_path)
    with pytest.raises(DataError, match=rf"^said.jsonl, line 7: .*{message}"):
        read(task, **values)


def test_numbers_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"accepted: a number in a column 'score'; it has: text"):
        read(task_of("text_regression", tmp_path))


def test_files_and_settings_that_do_not_fit(tmp_path, data, student):
    train = rows_of(f"{data}/train.jsonl")
    said = [{"sentence": row["sentence"], "label": row["label"]} for row in train]
    path = write_jsonl(tmp_path / "said.jsonl", said)

    def refused(message, error=SettingsError, **changes):
        settings = make_settings(student, data, tmp_path / "run", **{"teacher": path, **changes})
        with pytest.raises(error, match=message):
            plan(settings)

    refused(r"no-such.csv: there is no such file; accepted", teacher="no-such.csv")
    refused(
        r"losses.hidden_mse compares the models' hidden_states, but teacher = .*said.jsonl is a "
        r"file of predictions, which gives logits only; accepted with it: logit_mse, soft_targets",
        losses={"hidden_mse": {}},
    )
    refused(r"augment makes texts that teacher = .* says nothing of", augment={"model": student})
    refused(
        r"^teacher_options: there is no setting 'mising' .*Did you mean 'missing'\?",
        teacher_options={"mising": "label"},
    )
    refused(
        r"teacher_options.missing is for teachers that are no model, but teacher = .* is a model",
        teacher=write_model(tmp_path / "model", head=LABELS),
        teacher_options={"missing": "label"},
    )
    contradicting = [*said, {"sentence": said[2]["sentence"], "label": 1 - said[2]["label"]}]
    refused(
        r"twice.jsonl, line 65 says something else of '.*' than .*twice.jsonl, line 3; keep one",
        error=DataError,
        teacher=write_jsonl(tmp_path / "twice.jsonl", contradicting),
    )
    refused(
        r"no.jsonl, line 1: there is no column 'sentence'; it has: review, label.",
        error=DataError,
        teacher=write_jsonl(tmp_path / "no.jsonl", [{"review": "good", "label": 1}]),
    )
    refused(r"teacher_options.missing is a teacher's, but there is none; give", teacher=None,
            teacher_options={"missing": "label"})  # fmt: skip


def test_another_content_of_the_file_is_another_run(tmp_path, data, student):
    rows = rows_of(f"{data}/train.jsonl")
    path = tmp_path / "said.jsonl"
    write_jsonl(path, [{"sentence": row["sentence"], "label": row["label"]} for row in rows])
    finetune(student, data, tmp_path / "run", teacher=str(path), epochs=1)
    write_jsonl(path, [{"sentence": row["sentence"], "label": 1 - row["label"]} for row in rows])
    with pytest.raises(DataError, match=r"teacher = .*said.jsonl\" has changed since it was begun"):
        finetune(student, data, tmp_path / "run", teacher=str(path), epochs=1)
