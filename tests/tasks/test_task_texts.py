"""Tasks over texts: long texts, numbers, sets of labels, files."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, SettingsError
from limbeck.tasks import collate, read_task
from limbeck.tasks._examples import EncodedExample
from limbeck.tasks._texts import TextEncoding, TextExample, pool_windows
from limbeck.tokenizers import train_wordpiece

WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece([" ".join(WORDS)], vocab_size=400, min_frequency=1)


def write(folder, **splits):
    for name, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def rows(values, column="label"):
    return [{"text": f"text {i}", column: value} for i, value in enumerate(values)]


@settings(max_examples=40)
@given(length=st.integers(1, 60), max_length=st.integers(8, 20), stride=st.integers(0, 5))
def test_windows_cover_a_text_and_share_the_stride(tokenizer, length, max_length, stride):
    example = TextExample(" ".join(WORDS[:length]), None, 1)
    whole = tokenizer.encode_batch_ids([example.text], add_special_tokens=False)[0].tolist()
    encoded = TextEncoding("windows", stride).encode([example], tokenizer, max_length=max_length)
    pieces = [list(row.input_ids[1:-1]) for row in encoded]
    joined = pieces[0]
    for piece in pieces[1:]:
        assert joined[len(joined) - stride :] == piece[:stride]
        joined = joined + piece[stride:]
    assert joined == whole
    assert all(len(row.input_ids) <= max_length for row in encoded)
    assert all((row.index, row.label) == (0, 1) for row in encoded)


def test_head_and_tail_keep_a_quarter_from_the_beginning_and_the_rest_from_the_end(tokenizer):
    example = TextExample(" ".join(WORDS), None, 0)
    whole = tokenizer.encode_batch_ids([example.text], add_special_tokens=False)[0].tolist()
    (row,) = TextEncoding("head_tail").encode([example], tokenizer, max_length=22)
    assert list(row.input_ids) == [
        tokenizer.cls_token_id,
        *whole[:5],
        *whole[-15:],
        tokenizer.sep_token_id,
    ]
    short = TextExample("w1 w2", None, 0)
    for kind in ("head_tail", "windows"):
        (row,) = TextEncoding(kind).encode([short], tokenizer, max_length=22)
        (cut,) = TextEncoding("truncate").encode([short], tokenizer, max_length=22)
        assert list(row.input_ids) == list(cut.input_ids)
        assert list(row.token_type_ids) == list(cut.token_type_ids)


def test_logits_of_windows_are_averaged():
    encoded = [
        EncodedExample(index=i, input_ids=[1], token_type_ids=None, label=None) for i in (0, 1, 1)
    ]
    logits = [torch.tensor([1.0, 0.0]), torch.tensor([4.0, 1.0]), torch.tensor([0.0, 3.0])]
    assert pool_windows(encoded, logits).tolist() == [[1.0, 0.0], [2.0, 2.0]]


def test_long_texts_that_can_not_be_are_refused(tokenizer):
    pair = TextExample("a", "b", 0)
    with pytest.raises(SettingsError, match="long_texts = 'windows' is for single texts"):
        TextEncoding("windows", 2).encode([pair], tokenizer, max_length=16)
    with pytest.raises(SettingsError, match=r"stride = 14, but .* 14 tokens; accepted: 0 to 13"):
        TextEncoding("windows", 14).encode([TextExample("a", None, 0)], tokenizer, max_length=16)


def test_breaks_of_imdb_are_blanks(tmp_path):
    data = write(tmp_path, train=[{"text": "good.<br /><br />bad", "label": i} for i in (0, 1)])
    assert read_task("imdb", data).splits["train"].examples[0].text == "good.  bad"
    other = read_task("text-classification", data).splits["train"].examples[0]
    assert other.text == "good.<br /><br />bad"


def test_class_weights_keep_the_scale_of_the_loss(tmp_path):
    data = write(tmp_path, train=rows(["a", "a", "a", "b"]))

    def read(weights):
        return read_task("text-classification", data, options={"class_weights": weights})

    assert read(None).class_weights is None
    assert read("balanced").class_weights == pytest.approx((2 / 3, 2.0))
    assert read([1, 3]).class_weights == pytest.approx((2 / 3, 2.0))
    with pytest.raises(SettingsError, match=r"class_weights = \[1.0\]: .* the 2 labels \(a, b\)"):
        read([1])


def test_class_weights_weigh_the_loss_and_sets_of_labels_are_yes_or_no(tmp_path, tokenizer):
    data = write(tmp_path, train=rows(["a", "b"]))
    logits = torch.randn(2, 2, dtype=torch.float64)
    losses = -logits.log_softmax(-1).diagonal()
    for weights in ((1.0, 1.0), (0.5, 1.5)):  # their mean over the examples is 1
        options = {"class_weights": list(weights)}
        task = read_task("text-classification", data, options=options)
        encoded = task.encode(task.splits["train"], tokenizer, max_length=8)
        batch = collate(task, encoded, [0, 1], pad_token_id=0)
        expected = (losses * losses.new_tensor(weights)).sum()
        torch.testing.assert_close(task.loss_sum(logits, batch), expected)
    write(tmp_path, train=rows([["a"], ["b"]], column="labels"))
    task = read_task("multi-label-classification", data)
    yes = task.distributions(logits, task.counted(batch)).softmax(-1)[:, 0]
    torch.testing.assert_close(yes, logits.sigmoid().flatten())


def test_transfer_text_has_no_labels_whatever_it_says(tmp_path):
    data = write(
        tmp_path, train=rows([0, 1]), transfer=[{"text": "x", "label": "nonsense"}, {"text": "y"}]
    )
    split = read_task("text-classification", data).splits["transfer"]
    assert [(e.text, e.label) for e in split.examples] == [("x", None), ("y", None)]
    assert not split.is_labelled


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("high", r"line 2: 'high' in column 'label' is not a finite number"),
        (float("nan"), r"line 2: nan in column 'label' is not a finite number"),
        (True, r"line 2: True in column 'label' is not a finite number"),
        (5.5, r"line 2: 5.5 in column 'label' is out of range; accepted: 0 to 5"),
        (-2, r"line 2: -2 in column 'label' is out of range"),
        (None, r"line 2: column 'label' has no label"),
    ],
)
def test_numbers_that_are_none_are_refused_with_their_place(tmp_path, value, message):
    data = write(tmp_path, train=rows([1, value, 3]))
    options = {"minimum": 0, "maximum": 5}
    with pytest.raises(DataError, match=message):
        read_task("text-regression", data, options=options)
    with pytest.raises(SettingsError, match="minimum must be below maximum"):
        read_task("text-regression", data, options={"minimum": 5, "maximum": 0})


def test_sets_of_labels_are_lists_or_text(tmp_path):
    data = write(tmp_path, train=rows([["b", "a"], "c; b", [], ""], column="labels"))
    task = read_task("multi-label-classification", data, options={"separator": ";"})
    assert task.labels == ("a", "b", "c")
    assert [e.label for e in task.splits["train"].examples] == [(0, 1), (1, 2), (), ()]
    stacked = task.label_tensor([(0, 1), ()], torch.Size())
    assert stacked.tolist() == [[1, 1, 0], [0, 0, 0]]
    with pytest.raises(DataError, match=r"line 1: unknown label 'b' in column 'labels'; known: a"):
        read_task("multi-label-classification", data, options={"labels": ["a"]})
    for bad in (3, [0.5], [True, False], [0, 1, 1]):  # a row of 0 and 1 for each label is no set
        write(tmp_path, train=rows([bad], column="labels"))
        message = rf"line 1: {re.escape(str(bad))} in column 'labels' is no set of labels; accepted"
        with pytest.raises(DataError, match=message):
            read_task("multi-label-classification", data)
    write(tmp_path, train=rows([["b"]], column="labels"))
    with pytest.raises(SettingsError, match="give each label once"):
        read_task("multi-label-classification", data, options={"labels": ["a", "a"]})


def test_a_tasks_usual_data_set_or_an_error_that_there_is_none():
    with pytest.raises(SettingsError, match="'text-classification' has no usual data set; give"):
        read_task("text-classification", None)


def test_parquet_is_read(tmp_path):
    table = pa.table({"sentence": ["a", "b"], "label": [0, 1]})
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    task = read_task("sst2", str(tmp_path))
    assert [(e.text, e.label) for e in task.splits["train"].examples] == [("a", 0), ("b", 1)]
    (tmp_path / "validation.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"validation.parquet can't be read as Parquet"):
        read_task("sst2", str(tmp_path))


def test_mnli_takes_the_split_of_its_name(tmp_path):
    row = {"premise": "p", "hypothesis": "h"}
    data = write(
        tmp_path,
        train=[row | {"label": i} for i in (0, 1, 2)],
        validation_matched=[row | {"label": 0}],
        validation_mismatched=[row | {"label": 1}, row | {"label": 2}],
    )
    for name, size in (("mnli", 1), ("mnli-mismatched", 2)):
        task = read_task(name, data)
        assert len(task.splits["validation"].examples) == size
        assert len(task.splits["train"].examples) == 3


def test_rows_without_a_label_are_left_out_where_that_is_asked_for(tmp_path):
    rows = [{"text": text, "label": label} for text, label in zip("abc", (0, -1, 1), strict=True)]
    data = write(tmp_path, train=rows, test=[row | {"label": -1} for row in rows])
    with pytest.raises(DataError, match=r"train.jsonl, line 2: .* 1 of the 3 rows of train"):
        read_task("text-classification", data)
    splits = read_task("text-classification", data, options={"skip_unlabelled": True}).splits
    assert [(e.text, e.label) for e in splits["train"].examples] == [("a", 0), ("c", 1)]
    assert [(e.text, e.label) for e in splits["test"].examples] == [(t, None) for t in "abc"]


def test_snli_leaves_out_pairs_without_a_label_that_annotators_agreed_on(tmp_path):
    pair = {"premise": "p", "hypothesis": "h"}
    task = read_task("snli", write(tmp_path, train=[pair | {"label": i} for i in (2, -1, 0)]))
    assert task.labels == ("entailment", "neutral", "contradiction")
    assert [example.label for example in task.splits["train"].examples] == [2, 0]


def test_glues_server_gets_similarities_within_its_range(tmp_path):
    row = {"sentence1": "a", "sentence2": "b", "label": -1}
    split = (task := read_task("stsb", write(tmp_path, test=[row] * 3))).splits["test"]
    records = [{"index": i, "prediction": value} for i, value in enumerate((-0.7, 2.3456, 7.25))]
    assert task.submission(split, records) == (
        "STS-B.tsv",
        "index\tprediction\n0\t0.000\n1\t2.346\n2\t5.000\n",
    )


def test_glues_server_gets_the_labels_that_it_knows(tmp_path):
    data = write(tmp_path, test=[{"sentence": "a", "label": -1}] * 2)
    given = {"POSITIVE": "1", "NEGATIVE": "0"}
    for labels in (list(given), list(given)[::-1]):
        task = read_task("sst2", data, options={"labels": labels})
        records = [{"index": i, "prediction": label} for i, label in enumerate(labels)]
        lines = f"0\t{given[labels[0]]}\n1\t{given[labels[1]]}\n"
        expected = ("SST-2.tsv", "index\tprediction\n" + lines)
        assert task.submission(task.splits["test"], records) == expected
    task = read_task("sst2", data, options={"labels": ["bad", "good"]})
    assert task.submission(task.splits["test"], [{"index": 0, "prediction": "bad"}]) is None


GLUE = Path(__file__).parents[2].parent / "shared/data/glue"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("cola", "0\t0"),
        ("rte", "0\tnot_entailment"),
        ("stsb", "0\t0.500"),
        ("qnli", "0\tnot_entailment"),
        ("wnli", "0\t0"),
    ],
)
def test_files_for_glues_server(name, first):
    if not GLUE.exists():
        pytest.skip("needs ../shared/data")
    task = read_task(name, str(GLUE / name))
    split = task.splits["test"]
    wanted = "not_entailment" if name in ("rte", "qnli") else None
    answer = 0.5 if name == "stsb" else wanted or task.labels[0]
    records = [{"index": i, "prediction": answer} for i in range(len(split.examples))]
    file_name, content = task.submission(split, records)
    expected = {"cola": "CoLA", "stsb": "STS-B"}.get(name, name.upper())
    assert file_name == f"{expected}.tsv"
    lines = content.splitlines()
    assert lines[:2] == ["index\tprediction", first]
    assert len(lines) == len(split.examples) + 1
    assert task.submission(task.splits["validation"], records) is None
