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
