"""Splits of a data set: what is read, and what is refused with file and line."""

import gzip
import json

import pytest

from limbeck.errors import DataError
from limbeck.sources import read_splits


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    (tmp_path / "dev.csv").write_text('text,label\n"one, two\nlines",1\n', encoding="utf-8-sig")
    with gzip.open(tmp_path / "test.tsv.gz", "wt", encoding="utf-8") as file:
        file.write('text\tlabel\nhe said "no\t-1\n')
    return tmp_path


def test_a_folder_gives_its_splits_in_every_format(folder):
    splits = read_splits(str(folder))
    assert list(splits) == ["train", "validation", "test"]
    assert [row.values for row in splits["train"].rows] == [
        {"text": "a", "label": 0},
        {"text": "b", "label": 1},
    ]
    assert splits["train"].rows[1].place == f"{folder / 'train.jsonl'}, line 2"
    assert splits["validation"].rows[0].values == {"text": "one, two\nlines", "label": "1"}
    assert splits["test"].rows[0].values == {"text": 'he said "no', "label": "-1"}


def test_paths_are_given_as_text_is(folder):
    assert read_splits(folder) == read_splits(str(folder))
    file = folder / "train.jsonl"
    assert read_splits({"train": file}) == read_splits({"train": str(file)})


def test_rows_without_a_split_are_refused():
    with pytest.raises(DataError, match=r"data is list .*does not say of which split; give \{\"tr"):
        read_splits([{"text": "a"}])


def test_shards_are_joined_in_order(tmp_path):
    for shard in (1, 0):
        write_jsonl(tmp_path / f"train-0{shard}-of-02.jsonl", [{"text": str(shard)}])
    assert [row.values["text"] for row in read_splits(str(tmp_path))["train"].rows] == ["0", "1"]


def test_columns_without_a_name_are_left_over(tmp_path):
    (tmp_path / "train.csv").write_text("text,label,,\na,1,,\n", encoding="utf-8")
    (row,) = read_splits(str(tmp_path))["train"].rows
    assert (row.values["text"], row.values["label"]) == ("a", "1")


def test_shards_may_be_counted_from_one(tmp_path):
    for number in (1, 2):
        write_jsonl(tmp_path / f"train-{number}-of-2.jsonl", [{"text": str(number)}])
    assert [row.values["text"] for row in read_splits(str(tmp_path))["train"].rows] == ["1", "2"]


def test_the_same_split_twice_or_in_part_is_refused(tmp_path):
    write_jsonl(tmp_path / "train-00-of-03.jsonl", [{"text": "a"}])
    write_jsonl(tmp_path / "train-02-of-03.jsonl", [{"text": "c"}])
    with pytest.raises(DataError, match=r"2 of the 3 shards of train: no number 1; .*train-\*'"):
        read_splits(str(tmp_path))
    given = {"train": str(tmp_path / "train-*")}
    assert [row.values["text"] for row in read_splits(given)["train"].rows] == ["a", "c"]
    write_jsonl(tmp_path / "train-01-of-03.jsonl", [{"text": "b"}])
    assert len(read_splits(str(tmp_path))["train"].rows) == 3
    for name in ("train.jsonl", "train-01-of-03.jsonl.gz", "train-00-of-04.jsonl"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataError, match=rf"several files for train: .*{name}.*; say which"):
            read_splits(str(tmp_path))
        (tmp_path / name).unlink()


def test_explicit_files_and_globs(folder):
    write_jsonl(folder / "more.one.jsonl", [{"text": "x"}])
    write_jsonl(folder / "more.two.jsonl", [{"text": "y"}])
    splits = read_splits(
        {"train": str(folder / "more.*.jsonl"), "test": str(folder / "test.tsv.gz")}
    )
    assert [row.values["text"] for row in splits["train"].rows] == ["x", "y"]
    assert len(splits["test"].rows) == 1


def test_hub_data_sets_are_read_through_datasets(folder, tmp_path_factory, monkeypatch):
    datasets = pytest.importorskip("datasets")
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    (folder / "dev.csv").unlink()
    (folder / "test.tsv.gz").unlink()
    write_jsonl(folder / "validation.jsonl", [{"text": "c", "label": 1}])
    splits = read_splits(f"hf://{folder}")
    assert {name: len(split.rows) for name, split in splits.items()} == {
        "train": 2,
        "validation": 1,
    }
    assert splits["train"].rows[0].values == {"text": "a", "label": 0}
    one = read_splits({"test": f"hf://{folder}#validation"})
    assert one["test"].rows[0].values["text"] == "c"
    with pytest.raises(DataError, match=r"does not say which split; write hf://.*#train"):
        read_splits({"test": f"hf://{folder}"})
    with pytest.raises(DataError, match=r"the data set hf://.* can't be loaded: .*tset"):
        read_splits({"test": f"hf://{folder}#tset"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train.jsonl",
            '{"text": "a"}\n{"text": \n',
            r"train\.jsonl, line 2, column 9: not valid",
        ),
        (
            "train.json",
            '[\n{"text": "a"},\n{"text" "b"}\n]',
            r"""train\.json, line 3, column 9: not valid JSON: .*':' .*"text" "b"}""",
        ),
        (
            "train.json",
            '{"text": "a"}\n{"text": "b"\n',
            r"train\.json, line 2, column 13: not valid JSON",
        ),
        ("train.jsonl", "\n[1, 2]\n", r"line 2: expected one JSON object a line .*got '\[1, 2\]'"),
        ("train.csv", "text,label\na,1\nb\n", r"line 3: 1 fields.*2 \(text, label\); quote what"),
        (
            "train.csv",
            'text,label\n"a,1\nb,0\n',
            r"csv, line 3: unexpected end of data; quote what",
        ),
        ("train.csv", "text,text\na,b\n", r"csv, line 1: a column's name stands twice: 'text'"),
        ("train.csv", 'text,label\n"a"b,1\n', r"train\.csv, line 2: .*expected after"),
        ("train.tsv", "text\tlabel\n", r"train\.tsv \(train\) has no rows"),
        ("train.jsonl", "", r"train\.jsonl \(train\) has no rows"),
    ],
)
def test_bad_rows_are_refused_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_splits(str(tmp_path))


def test_files_that_cannot_be_read(tmp_path):
    latin = b'{"text": "a"}\n' * 2000 + b'{"text": "caf\xe9"}\n'
    message = r"jsonl(\.gz)?, line 2001: .*caf\\xe9.* is not UTF-8 \(.*\); convert the file first"
    for name, content in (("train.jsonl", latin), ("train.jsonl.gz", gzip.compress(latin))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_splits({"train": str(tmp_path / name)})
    whole = gzip.compress(b'{"text": "a"}\n' * 100)
    (tmp_path / "x.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"x\.jsonl\.gz can't be read"):
        read_splits({"train": str(tmp_path / "x.jsonl.gz")})
    (tmp_path / "train.arrow").write_bytes(b"ARROW1")
    with pytest.raises(DataError, match=r"train\.arrow: can't tell .* accepted.*\.jsonl, "):
        read_splits({"train": str(tmp_path / "train.arrow")})


def test_absent_or_unclear_sources(folder):
    with pytest.raises(DataError, match=r"nowhere' is not there; give a folder"):
        read_splits(str(folder / "nowhere"))
    with pytest.raises(DataError, match=r"is a single file; .*data\.train=.*train\.jsonl"):
        read_splits(str(folder / "train.jsonl"))
    with pytest.raises(DataError, match=r"no\*\.jsonl' is neither a file nor a glob"):
        read_splits({"train": str(folder / "no*.jsonl")})
    with pytest.raises(DataError, match=r"data\.valdation: .*Did you mean 'validation'"):
        read_splits({"valdation": str(folder / "dev.csv")})
    (folder / "validation.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"several files for validation: dev\.csv, validation"):
        read_splits(str(folder))
    empty = folder / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"no train, validation or test file \(it has: notes\.txt"):
        read_splits(str(empty))
