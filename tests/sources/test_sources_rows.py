"""Every format and source: rows with their places, continued after any of them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck import listing
from limbeck.errors import DataError
from limbeck.sources import MemorySource, ReadOptions, open_file, read_splits
from limbeck.sources.opening import read_lines
from limbeck.tasks import read_task

FORMATS = listing.list_names("limbeck.sources.formats")
ROWS = [{"text": f"text {i}, “Straße”", "n": str(i)} for i in range(5)]
COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def _table(dialect: str) -> bytes:
    content = io.StringIO()
    writer = csv.DictWriter(content, ["text", "n"], dialect=dialect)
    writer.writeheader()
    writer.writerows(ROWS)
    return content.getvalue().encode()


def _parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), content)
    return content.getvalue()


SENTENCES = [{"tokens": [f"w{i}", "x"], "ner_tags": ["B-A", "O"]} for i in range(5)]
# Content, what it says, and the place of the second row; a new format needs an entry.
EXAMPLES = {
    "csv": (_table("excel"), ROWS, "line 3"),
    "tsv": (_table("excel-tab"), ROWS, "line 3"),
    "json": (json.dumps({"data": ROWS}, indent=1).encode(), ROWS, "row 1"),
    "jsonl": ("".join(json.dumps(row) + "\n" for row in ROWS).encode(), ROWS, "line 2"),
    "parquet": (_parquet(), ROWS, "row 1"),
    "text": (
        "\n\n".join(row["text"] for row in ROWS).encode(),
        [{"text": row["text"]} for row in ROWS],
        "line 4",
    ),
    "conll": (
        "\n".join(f"{s['tokens'][0]} B-A\nx\tO\n" for s in SENTENCES).encode(),
        SENTENCES,
        "line 4",
    ),
}


def _strip(values):
    return {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compression", COMPRESS)
def test_a_format_gives_its_rows_from_any_on_compressed_or_not(tmp_path, name, compression):
    content, expected, place = EXAMPLES[name]
    module = listing.load("limbeck.sources.formats", name)
    reader = module.SERVES[0]
    path = tmp_path / f"a{module.ENDINGS[0]}{compression}"
    path.write_bytes(COMPRESS[compression](content))
    source = open_file(path, reader=reader)
    assert source.format == name
    rows = list(source.rows())
    assert [_strip(row.values) for row in rows] == expected
    assert rows[1].place == f"{path}, {place}"
    assert all(0 <= row.position <= source.num_bytes for row in rows)
    for done, row in enumerate(rows, start=1):
        rest = source.rows(start=row.number)
        assert [_strip(row.values) for row in rest] == expected[done:]


@pytest.mark.parametrize("name", ["csv", "parquet", "tsv"])
def test_a_table_gives_at_least_the_columns_that_are_needed(tmp_path, name):
    path = tmp_path / f"a.{name}"
    path.write_bytes(EXAMPLES[name][0])
    source = open_file(path, reader="corpora")
    rows = source.rows(ReadOptions(columns={"n": "text_field"}))
    assert [row.values["n"] for row in rows] == list("01234")
    with pytest.raises(DataError, match=r"no column 'm'; it has 'text', 'n' \(set text_field\)"):
        list(source.rows(ReadOptions(columns={"m": "text_field"})))


@pytest.mark.slow
@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz"])
def test_a_file_that_ends_early_says_after_which_line(tmp_path, compression):
    lines = [f'{{"text": "{i * 7919 % 104729}"}}\n' for i in range(200_000)]
    path = tmp_path / f"a.jsonl{compression}"
    path.write_bytes(COMPRESS[compression]("".join(lines).encode())[:-30])
    with pytest.raises(DataError, match=rf"a\.jsonl\{compression} can't be read after line \d+: "):
        list(open_file(path, reader="tasks").rows())


@given(st.text(alphabet="aé東𝄞\n", max_size=60), st.integers(4, 9))
def test_long_lines_are_cut_between_characters(tmp_path_factory, text, limit):
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_text(text, "utf-8", newline="\n")
    pieces = list(read_lines(path, max_bytes=limit))
    assert "".join(piece.content.decode() for piece in pieces) == text
    lines: dict[int, str] = {}
    for piece in pieces:
        lines[piece.number] = lines.get(piece.number, "") + piece.content.decode()
    assert list(lines.values()) == text.splitlines(keepends=True)


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_a_table_may_end_its_lines_as_old_macs_did(tmp_path, name):
    path = tmp_path / f"a.{name}"
    path.write_bytes(EXAMPLES[name][0].replace(b"\r\n", b"\r"))
    rows = list(open_file(path, reader="tasks").rows())
    assert [row.values for row in rows] == ROWS
    assert rows[1].place == f"{path}, line 3"


def test_rows_in_memory_are_those_of_a_file(tmp_path):
    import datasets
    import numpy as np

    (tmp_path / "train.jsonl").write_bytes(EXAMPLES["jsonl"][0])
    expected = [row.values for row in read_splits(str(tmp_path))["train"].rows]
    for given_ in (ROWS, tuple(ROWS), (row for row in ROWS), datasets.Dataset.from_list(ROWS)):
        split = read_splits({"train": given_})["train"]
        assert [row.values for row in split.rows] == expected
        assert split.rows[3].place == "train, row 3"
    (row,) = MemorySource("x", [{"a": np.int64(3), "b": np.array([1, 2]), "c": ("d",)}]).rows()
    assert row.values == {"a": 3, "b": [1, 2], "c": ["d"]}
    assert type(row.values["a"]) is int


def test_a_pandas_frame_gives_its_rows_and_gaps_are_none():
    import pandas as pd

    frame = pd.DataFrame({"text": ["a", None, "c"], "label": [0, 1, None], "n": [1, 2, 3]})
    rows = read_splits({"train": frame})["train"].rows
    assert [row.values for row in rows] == [
        {"text": "a", "label": 0.0, "n": 1},
        {"text": None, "label": 1.0, "n": 2},
        {"text": "c", "label": None, "n": 3},
    ]


def test_a_polars_frame_gives_its_rows():
    import polars as pl

    rows = [*ROWS, {"text": "last", "n": None}]
    found = read_splits({"train": pl.DataFrame(rows)})["train"].rows
    assert [row.values for row in found] == rows


def test_a_dataset_in_memory_declares_its_classes():
    import datasets

    rows = datasets.Dataset.from_dict(
        {"label": [0, 1]},
        features=datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])}),
    )
    splits = read_splits(datasets.DatasetDict({"train": rows}))
    assert splits["train"].class_names == {"label": ("no", "yes")}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ([{"text": "a"}, "b"], r"train, row 1: expected a mapping from columns .*got 'b'"),
        ([], r"^train has no rows"),
        (7, r"train is int '7'; accepted: a file, glob or .* a list of dictionaries"),
        ({"text": ["a"]}, r"train is dict .*accepted: .* a list of dictionaries"),
    ],
)
def test_what_is_no_rows_is_refused(given_, message):
    with pytest.raises(DataError, match=message):
        read_splits({"train": given_})


def test_what_python_can_not_hold_harms_only_who_needs_it(tmp_path):
    texts = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    days = pa.array([0, 2**30], pa.int32()).view(pa.date32())
    table = pa.table({"text": texts, "day": days, "label": [0, 1], "note": ["a", "b"]})
    pq.write_table(table, tmp_path / "train.parquet")
    source = open_file(tmp_path / "train.parquet", reader="tasks")
    rows = [row.values for row in source.rows()]
    assert [row["note"] for row in rows] == ["a", "b"]
    assert rows[0]["text"] == "fine"
    assert repr(rows[1]["text"]) == r"<bytes that are not UTF-8: b'caf\xe9'>"
    assert repr(rows[1]["day"]).startswith("<a date32[day] that Python can't hold: ")
    read_task("text_classification", str(tmp_path), options={"text_column": "note"})
    with pytest.raises(DataError, match=r"row 1: column 'text' holds <bytes that are not UTF-8"):
        read_task("text_classification", str(tmp_path))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    pd = pytest.importorskip("pandas")
    message = r"a column's name stands twice: 'text'; rename one"
    columns = [pa.array(["a"]), pa.array(["b"])]
    table = pa.Table.from_arrays(columns, names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    for name in ("a.parquet", "a.csv"):
        with pytest.raises(DataError, match=rf"{name}.*: {message}"):
            list(open_file(tmp_path / name, reader="tasks").rows())
    with pytest.raises(DataError, match=rf"train: {message}"):
        read_splits({"train": pd.DataFrame([["a", "b"]], columns=["text", "text"])})
    frame = pd.DataFrame({2020: ["a"], "label": [0]})
    assert read_splits({"train": frame})["train"].rows[0].values == {"2020": "a", "label": 0}


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_long_fields_blank_lines_and_marks_of_the_byte_order(tmp_path, name):
    separator = {"csv": ",", "tsv": "\t"}[name]
    text = "word " * 60_000  # over the 131,072 characters that the csv module takes by itself
    lines = [f"text{separator}n", f"{text}{separator}1", "", "   ", f"last{separator}2", "\t", ""]
    path = tmp_path / f"a.{name}"
    path.write_text("\ufeff" + "\n".join(lines[: 5 if name == "tsv" else 7]), encoding="utf-8")
    rows = list(open_file(path, reader="tasks").rows())
    assert [row.values for row in rows] == [{"text": text, "n": "1"}, {"text": "last", "n": "2"}]
    path.write_bytes("text,n".encode("utf-16"))
    with pytest.raises(DataError, match=r"line 1: .* is not UTF-8 .*iconv -f utf-16 -t utf-8"):
        list(open_file(path, reader="tasks").rows())


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        (
            "a.csv",
            f"text,{','.join(f'c{i}' for i in range(3000))}\na,b",
            r"\.\.\. \(3,001 in all\)",
        ),
        ("a.jsonl", json.dumps([LONG]), r"got '\[\"x+\.\.\.'"),
        ("a.jsonl", f'{{"text": {LONG}', r"at '.*x+'; correct it"),
        ("a.json", json.dumps(LONG), r"got '\"x+\.\.\.'"),
    ],
)
def test_messages_never_hold_whole_values(tmp_path, name, content, shown):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=shown) as caught:
        read_splits({"train": str(tmp_path / name)})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("task", ["text_classification", "ner", "swag", "squad", "text_regression"])
@pytest.mark.parametrize("value", [LONG, [LONG] * 9, {LONG: 1}])
def test_messages_of_tasks_never_hold_whole_values(task, value):
    wrong = {"text": ["a"], "tokens": "a", "sent1": "a", "id": 1, "question": "a", "context": ""}
    rows = [
        {"text": "a", "label": value, "tokens": value, "ner_tags": value, "sent1": "a"},
        {**wrong, **{f"c{i}": value for i in range(3000)}},
        {"text": value, "label": [1], "tokens": ["a"], "ner_tags": value, "sent1": value},
        {"sent1": "a", "sent2": "b", "ending0": value, "ending1": value, "label": value},
        {"id": "1", "question": "a", "context": "a", "answers": value},
        {"id": "1", "paragraphs": value},
    ]
    for row in rows:
        with pytest.raises(DataError) as caught:
            read_task(task, {"train": [row, row]})
        assert len(str(caught.value)) < 1500


def test_half_a_character_is_refused_with_its_place():
    half = "so good \ud83d"
    for task, row in {
        "sst2": {"sentence": half, "label": 1},
        "ner": {"tokens": ["so", half], "ner_tags": ["O", "O"]},
        "swag": {"sent1": "a", "sent2": "b", "ending0": half, "ending1": "c", "label": 0},
        "squad": {"id": "1", "question": half, "context": "a", "answers": []},
    }.items():
        message = r"train, row 0.*has half a character, '\\ud83d', in 'so good \\ud83d'; remove it"
        with pytest.raises(DataError, match=message):
            read_task(task, {"train": [row]})
    with pytest.raises(DataError, match=r"row 0: column 'label' has half a character"):
        read_task("text_classification", {"train": [{"text": "a", "label": half}]})
