"""Data in memory, in every form, and the task that its columns say."""

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tiny_rows import FAST, NAMES, TEST, TRAIN, VALIDATION, rows

import limbeck
from limbeck.api._data import GivenData
from limbeck.api._infer import infer_task

CLASSES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(NAMES))}
)


def as_classes(given):
    numbers = [{**row, "label": NAMES.index(row["label"])} for row in given]
    return datasets.Dataset.from_list(numbers, features=CLASSES)


FORMS = {
    "generator": iter,
    "tuple": tuple,
    "dataset": datasets.Dataset.from_list,
    "classes": as_classes,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_rows(form, teacher, encoder, tmp_path):
    make = FORMS[form]
    found = limbeck.finetune(
        encoder, make(TRAIN), make(VALIDATION), max_steps=1, out=tmp_path / "run", **FAST
    )
    assert found.record.labels == NAMES
    written = (tmp_path / "run" / "data" / "train.jsonl").read_bytes()
    assert written == (teacher.folder / "data" / "train.jsonl").read_bytes()


def test_a_dataset_dict_with_other_names_of_splits(encoder, tmp_path):
    data = datasets.DatasetDict(
        {"train": as_classes(TRAIN), "dev": as_classes(VALIDATION), "more": as_classes(TEST)}
    )
    limbeck.finetune(encoder, data=data, max_steps=1, out=tmp_path / "run", **FAST)
    names = {path.name for path in (tmp_path / "run" / "data").iterdir()}
    assert names == {"train.jsonl", "validation.jsonl"}
    with pytest.raises(limbeck.DataError, match=r"the data set has the splits more; give each by"):
        GivenData.of(datasets.DatasetDict({"more": as_classes(TEST)}))


def test_rows_and_files_together(teacher, encoder, tmp_path):
    file = teacher.folder / "data" / "validation.jsonl"
    found = limbeck.finetune(encoder, TRAIN, file, max_steps=1, out=tmp_path / "run", **FAST)
    train = str(tmp_path / "run" / "data" / "train.jsonl")
    assert found.settings["data"] == {"train": train, "validation": str(file)}


def test_numbers_stay_labels_and_classes_keep_their_order(encoder, tmp_path):
    given = {"max_steps": 1, **FAST}
    numbers = [rows(n, seed=seed, label=int) for seed, n in enumerate((64, 24))]
    found = limbeck.finetune(encoder, *numbers, out=tmp_path / "numbers", **given)
    assert found.record.labels == ("LABEL_0", "LABEL_1")
    reverse = datasets.ClassLabel(names=["positive", "negative"])  # not as sorting has them
    features = datasets.Features({**CLASSES, "label": reverse})
    splits = [
        datasets.Dataset.from_list(
            [{**row, "label": reverse.str2int(row["label"])} for row in part], features=features
        )
        for part in (TRAIN, VALIDATION)
    ]
    found = limbeck.finetune(encoder, *splits, out=tmp_path / "classes", **given)
    assert found.record.labels == ("positive", "negative")
    # What the model was told is known again, however the classes stand elsewhere.
    scored = limbeck.evaluate(found, as_classes(VALIDATION), out=tmp_path / "scored")
    assert scored.scores["accuracy"] == found.scores["accuracy"]


TEXT = "a film"


@pytest.mark.parametrize(
    ("row", "task", "options"),
    [
        ({"sentence": TEXT, "label": "good"}, "text_classification", ("sentence", None, "label")),
        ({"idx": 1, "text": TEXT, "label": 0}, "text_classification", ("text", None, "label")),
        ({"a": TEXT, "b": TEXT, "label": True}, "text_classification", ("a", "b", "label")),
        ({"id": "x", "a": TEXT, "b": TEXT, "score": 2.5}, "text_regression", ("a", "b", "score")),
        ({"text": TEXT, "labels": ["x"]}, "multi_label_classification", ("text", None, "labels")),
    ],
)
def test_the_task_of_texts(row, task, options):
    found = infer_task([row], where="train", options={})
    names = ("text_column", "text_pair_column", "label_column")
    assert found.name == task
    assert tuple(found.options.get(name) for name in names) == options


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_absent_values_leave_no_task_open(absent):
    rows = [{"text": TEXT, "label": "good"}, {"text": absent, "label": absent}]
    assert infer_task(rows, where="train", options={}).name == "text_classification"


def test_the_task_of_words_and_of_questions():
    words = {"tokens": ["Anna", "left"], "ner_tags": ["B-PER", "O"]}
    found = infer_task([words], where="train", options={})
    assert (found.name, found.options) == ("ner", {"tags_column": "ner_tags"})
    asked = {"id": "1", "question": "Who?", "context": "Anna.", "answers": {"text": ["Anna"]}}
    assert infer_task([asked], where="train", options={}).name == "squad"
    unanswered = {**asked, "answers": {"text": [], "answer_start": []}}
    assert infer_task([asked, unanswered], where="train", options={}).name == "squad_v2"


def test_columns_that_are_given_count():
    row = {"title": TEXT, "review": TEXT, "summary": TEXT, "stars": 4}
    given = {"text_column": "review", "label_column": "stars"}
    found = infer_task([row], where="train", options=given)
    assert (found.name, dict(found.options)) == ("text_classification", given)


@pytest.mark.parametrize(
    "row",
    [
        {"text": TEXT},
        {"a": TEXT, "b": TEXT, "c": TEXT, "label": 1},
        {"label": 1},
        {"text": TEXT, "label": {"nested": 1}},
        {"text": TEXT, "label": None},
    ],
)
def test_what_leaves_the_task_open(row):
    wanted = rf"the columns of train \({', '.join(row)}\) leave open .* give task=.*ner.*squad"
    with pytest.raises(limbeck.SettingsError, match=wanted):
        infer_task([row], where="train", options={})


def test_classes_of_words_are_written_by_name(encoder, tmp_path):
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "seen": datasets.Value("timestamp[s]"),
        }
    )
    row = {"tokens": ["the", "film"], "ner_tags": [0, 1], "seen": pd.Timestamp("2026-01-02")}
    data = datasets.Dataset.from_list([row] * 8, features=features)
    found = limbeck.finetune(encoder, data, data, max_steps=1, out=tmp_path / "run", **FAST)
    assert (found.record.task, {"O", "B-PER"} <= set(found.record.labels)) == ("ner", True)
    line = (tmp_path / "run" / "data" / "train.jsonl").read_text().splitlines()[0]
    assert '"ner_tags": ["O", "B-PER"]' in line
    assert '"2026-01-02 00:00:00"' in line


def test_numpy_values_are_numbers(encoder, tmp_path):
    given = [{"text": row["text"], "label": np.float32(i / 7)} for i, row in enumerate(TRAIN)]
    found = limbeck.finetune(encoder, given, given, max_steps=1, out=tmp_path / "run", **FAST)
    assert found.record.task == "text-regression"


def test_numbers_of_a_task_with_labels_of_its_own_are_matched_by_name(teacher, tmp_path):
    reverse = datasets.ClassLabel(names=["positive", "negative"])
    features = datasets.Features({**CLASSES, "label": reverse})
    given = [{**row, "label": reverse.str2int(row["label"])} for row in VALIDATION]
    data = datasets.Dataset.from_list(given, features=features)
    options = {"task": "sst2", "task_options": {"text_column": "text"}}
    found = limbeck.evaluate(teacher, data, out=tmp_path / "run", **options)
    again = limbeck.evaluate(teacher, VALIDATION, out=tmp_path / "again", **options)
    assert found.scores == again.scores
    numbers = datasets.ClassLabel(names=["1 star", "2 stars"])
    features = datasets.Features({**CLASSES, "label": numbers})
    stars = datasets.Dataset.from_list([{"text": TEXT, "label": 1}] * 8, features=features)
    limit = {"task": "text_regression", "max_steps": 1, **FAST}
    regression = limbeck.finetune(teacher, stars, stars, out=tmp_path / "stars", **limit)
    assert regression.record.task == "text-regression"


def test_a_call_that_fails_before_its_run_leaves_nothing(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for changes in ({"max_length": 64}, {"keep_layers": 9}, {"device": "nowhere"}):
        with pytest.raises(limbeck.SettingsError):
            limbeck.finetune(encoder, TRAIN, VALIDATION, **{**FAST, **changes})
        assert not list(tmp_path.iterdir())
    out = tmp_path / "run"
    (out / "data").mkdir(parents=True)
    with pytest.raises(limbeck.SettingsError):
        limbeck.evaluate(encoder, VALIDATION, out=out, max_length=64)
    assert [entry.name for entry in out.iterdir() if not entry.name.startswith(".")] == ["data"]


def test_validation_may_be_held_out_of_the_rows_in_memory(encoder, tmp_path):
    given = {"max_steps": 1, **FAST}
    with pytest.raises(limbeck.SettingsError, match=r"no validation .*'validation_ratio': 0\.1}"):
        limbeck.finetune(encoder, TRAIN, out=tmp_path / "refused", **given)
    options = {"validation_ratio": 0.25}
    found = limbeck.finetune(encoder, TRAIN, out=tmp_path / "run", task_options=options, **given)
    assert found.record.num_held_out == found.record.seeds[0].validation["num_examples"] > 0
