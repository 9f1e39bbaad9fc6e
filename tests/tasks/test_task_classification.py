"""Classification tasks: labels, columns, encoding, scores; and what every task must have."""

import json
from pathlib import Path

import pytest
import torch

from limbeck.errors import DataError, SettingsError
from limbeck.tasks import EncodedExample, read_task
from limbeck.tokenizers import train_wordpiece

PAIRS = [
    {"premise": "a dog runs", "hypothesis": "an animal moves", "gold": "entailment"},
    {"premise": "a dog runs", "hypothesis": "a cat sleeps", "gold": "contradiction"},
    {"premise": "a dog runs", "hypothesis": "it rains", "gold": "neutral"},
]
PAIR_OPTIONS = {
    "text_column": "premise",
    "text_pair_column": "hypothesis",
    "label_column": "gold",
}


def write(folder, **splits):
    for name, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def rows(*labels, column="text"):
    return [{column: f"text {i}", "label": label} for i, label in enumerate(labels)]


def predict(task, split, logits):
    rows = [
        EncodedExample(index=i, input_ids=[1], token_type_ids=None, label=None)
        for i in range(len(logits))
    ]
    return task.predict(task.splits[split], rows, logits)


def test_sst2_labels_have_the_names_of_published_models_and_minus_one_is_unlabelled(tmp_path):
    data = write(
        tmp_path,
        train=rows(0, 1, column="sentence"),
        test=rows(-1, -1, column="sentence"),
    )
    task = read_task("sst2", data)
    assert task.labels == ("NEGATIVE", "POSITIVE")
    assert task.splits["train"].is_labelled
    assert not task.splits["test"].is_labelled
    record = predict(task, "test", torch.tensor([[0.0, 1.0], [1.0, 0.0]]))[0]
    assert record == {
        "index": 0,
        "label": None,
        "prediction": "POSITIVE",
        "scores": [0.268941421, 0.731058579],
    }


@pytest.mark.parametrize(
    ("labels", "names", "indices"),
    [
        ([1, 0, 2], ("LABEL_0", "LABEL_1", "LABEL_2"), [1, 0, 2]),
        (["1", "0"], ("LABEL_0", "LABEL_1"), [1, 0]),
        ([10, 2, 4], ("2", "4", "10"), [2, 0, 1]),
        (["spam", "ham"], ("ham", "spam"), [1, 0]),
        ([True, False], ("false", "true"), [1, 0]),
        ([1.0, 0.0], ("LABEL_0", "LABEL_1"), [1, 0]),
    ],
)
def test_labels_are_found_in_the_training_split(tmp_path, labels, names, indices):
    task = read_task("text-classification", write(tmp_path, train=rows(*labels)))
    assert task.labels == names
    assert [example.label for example in task.splits["train"].examples] == indices


def test_given_labels_decide_names_and_order(tmp_path):
    data = write(tmp_path, train=rows("Pos", 0, "NEG", 1))
    task = read_task("text-classification", data, options={"labels": ["neg", "pos"]})
    assert [example.label for example in task.splits["train"].examples] == [1, 0, 0, 1]
    task = read_task("text-classification", data, labels=["pos", "neg"])
    assert [example.label for example in task.splits["train"].examples] == [0, 0, 1, 1]
    data = write(tmp_path, train=rows(-1, 0, 1))
    task = read_task("text-classification", data, options={"labels": ["-1", "0", "1"]})
    assert [example.label for example in task.splits["train"].examples] == [0, 1, 2]


def test_declared_classes_of_a_hub_data_set_are_the_labels(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "reviews"
    folder.mkdir()
    write(folder, train=rows(0, 2), test=rows(-1, -1))
    (folder / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - {name: text, dtype: string}\n"
        "  - name: label\n    dtype: {class_label: {names: {'0': sad, '1': so-so, '2': glad}}}\n"
        "---\n"
    )
    task = read_task("text-classification", f"hf://{folder}")
    assert task.labels == ("sad", "so-so", "glad")
    assert [example.label for example in task.splits["train"].examples] == [0, 2]
    assert not task.splits["test"].is_labelled


def test_pairs_are_encoded_with_segments_and_cut(tmp_path):
    task = read_task("text-classification", write(tmp_path, train=PAIRS), options=PAIR_OPTIONS)
    assert task.labels == ("contradiction", "entailment", "neutral")
    texts = [text for row in PAIRS for text in (row["premise"], row["hypothesis"])]
    tokenizer = train_wordpiece(texts, vocab_size=200, min_frequency=1)
    encoded = task.encode(task.splits["train"], tokenizer, max_length=8)
    expected = tokenizer("a dog runs", "an animal moves", truncation=True, max_length=8)
    assert list(encoded[0].input_ids) == expected["input_ids"]
    assert list(encoded[0].token_type_ids) == expected["token_type_ids"]
    assert encoded[0].label == 1
    assert all(len(example.input_ids) <= 8 for example in encoded)


def test_a_missing_column_names_the_task_that_expects_it(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"tokens": "a", "label": 0}', encoding="utf-8")
    data = {"train": str(path)}
    with pytest.raises(
        DataError, match=r"'sentence'; it has: tokens.* task = sst2 expects; .*task="
    ):
        read_task("sst2", data)
    with pytest.raises(DataError, match=r"no column 'mine'.* to the right one\.$"):
        read_task("sst2", data, options={"text_column": "mine"})


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            {"train": rows("good", "bad"), "validation": rows("good", "godo")},
            {},
            r"validation\.jsonl, line 2: unknown label 'godo' .*known: bad, good\. .*'good'",
        ),
        (
            {"train": rows(0, 1), "test": rows(0, 7)},
            {},
            r"test\.jsonl, line 2: unknown label '7' .*known: LABEL_0, LABEL_1",
        ),
        (
            {"train": [{"txet": "a", "label": 0}]},
            {"labels": ["a", "b"]},
            r"train\.jsonl, line 1: .* no column 'text'; it has: txet, .*'txet'.*text_column",
        ),
        (
            {"train": rows(0, 1)},
            {"label_column": "gold"},
            r"no column 'gold'; it has: text, label.*task_options\.label_column",
        ),
        (
            {"train": [*rows(0, 1), {"text": None, "label": 1}]},
            {},
            r"train\.jsonl, line 3: column 'text' holds None, not text",
        ),
        (
            {"train": rows(0.37, 1)},
            {},
            r"train\.jsonl, line 1: the label 0\.37 in column 'label' is not a class",
        ),
        (
            {"train": rows(1, 1, 1)},
            {},
            r"train\.jsonl: column 'label' has 1 different labels in 3 rows \(1\)",
        ),
        (
            {"train": rows(0, 1, -1)},
            {},
            r"train\.jsonl, line 3: column 'label' has no label, and so have 1 of the 3 rows of",
        ),
        (
            {"train": rows(0, 1), "test": rows(0, -1, -1)},
            {},
            r"test\.jsonl, line 2: .*and so have 2 of the 3 rows of test. Only a test sp",
        ),
    ],
)
def test_bad_data_is_refused_with_file_line_and_fix(tmp_path, content, options, message):
    with pytest.raises(DataError, match=message):
        read_task("text-classification", write(tmp_path, **content), options=options)


def test_wrong_settings_are_refused(tmp_path):
    data = write(tmp_path, train=rows(0, 1, 2))
    with pytest.raises(SettingsError, match=r"no 'sst3' among the tasks; accepted: cola.*'sst2'"):
        read_task("sst3", data)
    with pytest.raises(SettingsError, match=r"task_options.*'text_colum'.*'text_column'"):
        read_task("text-classification", data, options={"text_colum": "x"})
    with pytest.raises(SettingsError, match=r"at least two labels, each once"):
        read_task("text-classification", data, options={"labels": ["a", "a"]})
    with pytest.raises(SettingsError, match=r"metric = 'f1' needs 2 labels.* has 3 .*macro_f1"):
        read_task("text-classification", data, options={"metric": "f1"})


def test_logits_are_brought_into_the_order_of_the_task(tmp_path):
    labels = {"labels": ["NEGATIVE", "POSITIVE"]}
    task = read_task("text-classification", write(tmp_path, train=rows(0, 1)), options=labels)
    logits = torch.tensor([[1.0, 2.0]])
    for given in (["negative", "positive"], ["LABEL_0", "LABEL_1"], ["0", "1"]):
        assert torch.equal(task.for_model(given).in_order(logits), logits)
    swapped = task.for_model(["POSITIVE", "NEGATIVE"]).in_order(logits)
    assert torch.equal(swapped, torch.tensor([[2.0, 1.0]]))
    with pytest.raises(
        DataError,
        match=r"labels \(1 star, 2 stars\) are not .*\(NEGATIVE, POSITIVE\); .*"
        r"rename_labels.NEGATIVE=\.\.\. and so on",
    ):
        task.for_model(["1 star", "2 stars"])
    with pytest.raises(DataError, match=r"labels \(LABEL_0, LABEL_1, LABEL_2\) are not"):
        task.for_model(["LABEL_0", "LABEL_1", "LABEL_2"])


def test_loss_is_the_sum_over_examples_and_predictions_the_softmax(tmp_path):
    task = read_task("text-classification", write(tmp_path, train=rows(0, 1, 0)))
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    loss = -logits.double().log_softmax(-1)[torch.arange(3), torch.tensor([0, 1, 0])]
    records = predict(task, "train", logits)
    scores = task.score(task.splits["train"], records)
    assert scores["loss"] == pytest.approx(float(loss.mean()))
    assert scores["accuracy"] == pytest.approx(1 / 3)
    record = records[2]
    assert (record["label"], record["prediction"]) == ("LABEL_0", "LABEL_1")
    assert record["scores"] == pytest.approx(logits[2].softmax(-1).tolist(), abs=1e-6)


def test_real_sst2_is_read_whole():
    folder = Path(__file__).parents[2].parent / "shared/data/glue/sst2"
    if not folder.exists():
        pytest.skip("needs ../shared/data")
    task = read_task("sst2", str(folder))
    sizes = {name: len(split.examples) for name, split in task.splits.items()}
    assert sizes == {"train": 67349, "validation": 872, "test": 1821}
    assert not task.splits["test"].is_labelled
