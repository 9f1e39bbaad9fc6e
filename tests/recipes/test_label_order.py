"""A model's labels are matched with the data's by name, whatever the order of either."""

import json

import pytest
from tiny_task import LABELS, finetune, make_rows, read_lines, read_loss, write_data, write_model

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import DataError
from limbeck.recipes import evaluate
from limbeck.train import SilentProgress

datasets = pytest.importorskip("datasets")

PLAIN = {"max_steps": 4, "epochs": 9, "new_head": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "data", train=32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two folders with the same classifier, the outputs of the second the other way round."""
    folder = tmp_path_factory.mktemp("models")
    first = write_model(folder / "first", head=LABELS, dropout=0.0, initializer_range=0.5)
    second = write_model(folder / "second", head=LABELS[::-1], dropout=0.0)
    tensors = read_safetensors(folder / "first/model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name].flip(0).contiguous()
    write_safetensors(folder / "second/model.safetensors", tensors)
    return first, second


def score(model, data, out, **options):
    values = {"model": model, "data": data, "out": str(out), "device": "cpu", "max_length": 16}
    settings = evaluate.EvaluateSettings.from_values(values | options)
    return evaluate.run(settings, progress=SilentProgress())


def test_a_permuted_model_is_scored_and_trained_as_the_other(tmp_path, data, models):
    scores = [score(model, data, tmp_path / f"e{i}").scores for i, model in enumerate(models)]
    assert scores[0] == scores[1]
    for i, model in enumerate(models):
        finetune(model, data, tmp_path / f"f{i}", **PLAIN)
    losses = [read_loss(tmp_path / f"f{i}") for i in (0, 1)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    saved = json.loads((tmp_path / "f1/seed-0/model/config.json").read_text(encoding="utf-8"))
    assert list(saved["id2label"].values()) == LABELS[::-1]  # the head's own order
    again = score(str(tmp_path / "f1/seed-0/model"), data, tmp_path / "again")
    other = score(str(tmp_path / "f0/seed-0/model"), data, tmp_path / "other")
    assert again.scores == pytest.approx(other.scores, abs=1e-6)


@pytest.mark.parametrize("cached", [False, True])
def test_a_permuted_teacher_teaches_what_the_other_does(tmp_path, data, models, cached):
    changes = {"label_weight": 0, **PLAIN}
    if cached:  # both in one folder: a cache must not be taken for the other's
        changes["teacher_cache"] = str(tmp_path / "cache")
    student = write_model(tmp_path / "student", head=LABELS, dropout=0.0, hidden_size=8)
    for i, teacher in enumerate(models):
        finetune(student, data, tmp_path / f"t{i}", teacher=teacher, **changes)
    losses = [read_loss(tmp_path / f"t{i}") for i in (0, 1)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("kind", ["parquet", "card"])
def test_declared_classes_in_another_order_are_scored_by_name(tmp_path, data, models, kind):
    """The file's 0 is its `positive`, the model's 0 its NEGATIVE."""
    rows = [{**row, "label": 1 - row["label"]} for row in make_rows(24, seed=1)]
    names = ["positive", "negative"]
    folder = tmp_path / "declared"
    folder.mkdir()
    if kind == "parquet":
        features = datasets.Features(
            {
                "sentence": datasets.Value("string"),
                "label": datasets.ClassLabel(names=names),
                "idx": datasets.Value("int64"),
            }
        )
        made = datasets.Dataset.from_list(rows, features=features)
        made.to_parquet(folder / "validation.parquet")
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "validation.jsonl").write_text(text, encoding="utf-8")
        infos = {"default": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        (folder / "dataset_infos.json").write_text(json.dumps(infos), encoding="utf-8")
    expected = score(models[0], data, tmp_path / "expected").scores
    for i, model in enumerate(models):
        for task, options in (
            ("sst2", {}),
            ("text_classification", {"text_column": "sentence"}),
            ("sst2", {"labels": ["POSITIVE", "NEGATIVE"]}),
        ):
            found = score(
                model,
                str(folder),
                tmp_path / f"{task}{i}{len(options)}",
                task=task,
                task_options=options,
            )
            assert found.scores["accuracy"] == expected["accuracy"]


def test_other_names_are_refused_until_it_is_said_which_is_which(tmp_path, data, models):
    options = {"labels": ["no", "yes"]}
    with pytest.raises(DataError, match=r"rename_labels\.no=\.\.\. and so on"):
        score(models[0], data, tmp_path / "refused", task_options=options)
    renamed = {"rename_labels": {"NEGATIVE": "no", "POSITIVE": "yes"}}
    other = write_model(tmp_path / "other", head=["yes", "no"], dropout=0.0)
    found = score(other, data, tmp_path / "renamed", task_options=renamed)
    assert found.labels == ("no", "yes")
    records = read_lines(tmp_path / "renamed/predictions.jsonl")
    assert {record["label"] for record in records} == {"no", "yes"}
