"""What corpora read: every format's texts, continued after any record, malformed ones told."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from limbeck.data import CorpusSettings
from limbeck.data.records import read_records
from limbeck.data.sources import find_sources, total_bytes
from limbeck.errors import DataError
from limbeck.sources.files import formats_by_ending

TEXTS = ["First document.\nIts second line.", "Zweites Dokument: Straße.", "Third 東京."]


def write(path: Path, texts: list[str], *, field: str = "text") -> Path:
    """Writes documents in the format that the file's name tells."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.table({field: texts, "n": list(range(len(texts)))}), path)
        data = path.read_bytes()
    elif name.endswith((".csv", ".tsv")):
        rows = [["n", field], *([i, text] for i, text in enumerate(texts))]
        content = io.StringIO()
        csv.writer(content, "excel-tab" if name.endswith(".tsv") else "excel").writerows(rows)
        data = content.getvalue().encode()
    elif name.endswith(".jsonl"):
        data = "".join(json.dumps({"n": 1, field: t}) + "\n" for t in texts).encode()
    else:
        data = "\n\n".join(texts).encode() + b"\n"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(sources: list, start: int = 0, **settings) -> list[str]:
    chosen = CorpusSettings(**settings)
    return [
        record.problem or record.text.strip()
        for source in find_sources(sources, chosen)
        for record in read_records(source, chosen, start=start)
    ]


ENDINGS = [
    ending + compression
    for ending in (".txt", ".jsonl", ".parquet", ".csv")
    for compression in ("", ".gz")
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_documents(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", TEXTS)
    assert read([path]) == TEXTS


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_reading_continues_after_any_record(tmp_path, ending, start):
    path = write(tmp_path / f"a{ending}", TEXTS)
    settings = CorpusSettings()
    source = find_sources([path], settings)[0]
    number = [0, *(record.number for record in read_records(source, settings))][start]
    records = list(read_records(source, settings, start=number))
    assert [record.text.strip() for record in records] == TEXTS[start:]
    numbers = [record.number for record in records]
    assert numbers == {".csv": [3, 4, 5]}.get(path.suffixes[0], [1, 2, 3])[start:]
    assert all(0 < record.num_bytes_read <= source.num_bytes for record in records)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".jsonl.gz", ".csv", ".txt"])
def test_the_text_field_can_be_set(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", TEXTS, field="body")
    assert read([path], text_field="body") == TEXTS


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("block", ["one\ntwo", "three"]),
        ("line", ["one", "two", "", "", "three"]),
        ("file", ["one\ntwo\n\n \nthree"]),
    ],
)
def test_a_text_file_is_divided_as_asked(tmp_path, documents, expected):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\n \r\nthree")
    read_texts = [text.replace("\r", "") for text in read([path], documents=documents)]
    assert read_texts == expected


@pytest.mark.parametrize("documents", ["block", "line", "file"])
def test_a_long_text_comes_in_bounded_documents(tmp_path, documents):
    path = tmp_path / "a.txt"
    path.write_text("word and 東京 " * 3000)
    settings = CorpusSettings(documents=documents, max_document_characters=1000)
    records = list(read_records(find_sources([path], settings)[0], settings))
    assert max(len(record.text) for record in records) <= 2000
    assert "".join(record.text for record in records) == path.read_text()


def test_folders_and_globs_are_read_in_order_and_files_once(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.txt", ["bee"])
    write(tmp_path / "a.jsonl.gz", ["ay"])
    write(tmp_path / "sub" / "c.parquet", ["sea"])
    write(tmp_path / ".hidden.txt", ["hidden"])
    (tmp_path / "README.md").write_text("not text to train on")
    assert read([tmp_path]) == ["ay", "bee", "sea"]
    assert read([f"{tmp_path}/**/*.parquet"]) == ["sea"]
    assert read([f"{tmp_path}/b.*", tmp_path]) == ["bee", "ay", "sea"]
    assert read([f"{tmp_path}/*.md"], format="text") == ["not text to train on"]
    sources = find_sources([tmp_path], CorpusSettings())
    assert total_bytes(sources) == sum(Path(source.name).stat().st_size for source in sources)


def test_a_hub_data_set_is_streamed(tmp_path):
    # `datasets` reads a local folder through the same streaming code as a Hub repository
    write(tmp_path / "train.jsonl", TEXTS)
    write(tmp_path / "test.jsonl", ["other"])
    name = f"hf://{tmp_path}"
    assert read([name]) == TEXTS
    assert read([name], start=2) == TEXTS[2:]
    assert read([name], hub_split="test") == ["other"]
    with pytest.raises(
        DataError, match=r"no column 'txt'; it has 'n', 'text'.*Did you mean 'text'"
    ):
        read([name], text_field="txt")
    with pytest.raises(DataError, match=r"the data set hf://.*#dev can't be loaded"):
        read([name], hub_split="dev")
    assert read([f"{name}#test"]) == ["other"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            b'{"text": "x"',
            r"a.jsonl, line 2, column 13: not valid JSON: .* '{\"text\": \"x\"'; cor",
        ),
        (b'["x"]', r"line 2: expected one JSON object a line such as .*, got '\[\"x\"\]'"),
        (b'{"txt": "x"}', r"line 2: no field 'text'; it has 'txt' .*Did you mean 'txt'"),
        (b'{"text": null}', r"line 2: field 'text' is NoneType, not a string: 'None'"),
        (b'{"text": "\\ud800 x"}', r"line 2: field 'text' holds half a surrogate pair at charact"),
        (b'{"text": "\xff"}', r"line 2: b'.*xff.*' is not UTF-8 \(invalid start byte\); convert"),
        (
            b"[" * 200_000,
            r"line 2: JSON that Python can't read \(brackets stand too deep.*\): '\[\[",
        ),
        (b'{"n": ' + b"1" * 5000 + b"}", r"line 2: JSON that Python can't read \(.*4300 digits"),
    ],
)
def test_a_malformed_line_names_file_and_line_and_the_rest_is_read(tmp_path, line, problem):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\n' + line + b'\n\n{"text": "two"}\n')
    first, malformed, last = read([path])
    assert (first, last) == ("one", "two")
    with pytest.raises(DataError, match=problem):
        raise DataError(malformed)


def test_a_text_block_that_is_not_utf8_names_its_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\ntwo\nbad \xff\nline\n\nthree\n")
    first, problem, last = read([path])
    assert (first, last) == ("one", "three")
    assert problem.startswith(
        rf"{path}, line 4: b'bad \xff\n' is not UTF-8 (invalid start byte); co"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,n\none,1\ntwo\nthree,3\n", r"a\.csv, line 3: 1 fields, but the header has 2 \(text"),
        ('text,n\none,1\n"t"wo,2\nthree,3\n', r"a\.csv, line 3: .*expected after.*quote what"),
        (b"text,n\none,1\nt\xffwo,2\nthree,3\n", r"a\.csv, line 3: b't\\xffwo,2.*is not UTF-8"),
    ],
)
def test_a_malformed_row_of_a_table_names_its_line_and_the_rest_is_read(tmp_path, content, problem):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    first, malformed, last = read([path])
    assert (first, last) == ("one", "three")
    with pytest.raises(DataError, match=problem):
        raise DataError(malformed)


def test_a_text_in_a_table_may_be_long_and_have_lines(tmp_path):
    path = tmp_path / "a.csv"
    long = "a line, with a comma\n" * 20_000  # the csv module's own limit is 131,072 characters
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text"], [long], ["short"]])
    assert read([path]) == [long.strip(), "short"]


def test_a_parquet_row_without_text_names_its_row(tmp_path):
    pq.write_table(pa.table({"text": ["one", None, "two"]}), tmp_path / "a.parquet")
    _, problem, _ = read([tmp_path])
    assert "a.parquet, row 1: field 'text' is NoneType" in problem


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv"])
def test_a_table_without_the_column_names_those_it_has(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", TEXTS, field="texts")
    message = r"no column 'text'; it has .*'texts'.*\(set text_field\)\. Did you mean 'texts'"
    with pytest.raises(DataError, match=message):
        read([path])


@pytest.mark.parametrize("ending", [".txt.gz", ".jsonl.gz", ".csv.gz", ".parquet.gz", ".parquet"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", TEXTS * 50)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=f"a{ending}"):
        read([path])


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".parquet"])
def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", TEXTS)
    (source,) = find_sources([path], CorpusSettings())
    path.unlink()
    with pytest.raises(DataError, match=rf"a{ending} can't be read: there is no such file"):
        list(read_records(source, CorpusSettings()))


def test_sources_that_give_nothing_are_refused(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match=r"no source of text given; accepted: files, folders"):
        find_sources([], CorpusSettings())
    with pytest.raises(DataError, match=r"'nowhere.txt' doesn't exist; accepted: files, folders"):
        find_sources(["nowhere.txt"], CorpusSettings())
    with pytest.raises(DataError, match=r"no file matches '.*\*.jsonl'"):
        find_sources([f"{tmp_path}/*.jsonl"], CorpusSettings())
    with pytest.raises(DataError, match=r"has no file to read among 1; accepted endings: .*.txt"):
        find_sources([tmp_path], CorpusSettings())
    with pytest.raises(DataError, match=r"notes.md: can't tell its format .*accepted .*format=csv"):
        find_sources([tmp_path / "notes.md"], CorpusSettings())


def test_the_setting_accepts_every_format_that_corpora_read():
    formats = set(formats_by_ending("corpora").values())
    assert get_args(CorpusSettings.model_fields["format"].annotation) == ("auto", *sorted(formats))
