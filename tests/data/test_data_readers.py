from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import CorpusSettings
from limbeck.data.readers import _read_lines, read_records
from limbeck.data.sources import Source, find_sources, total_bytes
from limbeck.errors import DataError

TEXTS = ["First document.\nIts second line.", "Zweites Dokument: Straße.", "Third 東京."]


def write(path: Path, texts: list[str], *, field: str = "text") -> Path:
    """Writes documents in the format that the file's name tells."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.table({field: texts, "n": list(range(len(texts)))}), path)
        data = path.read_bytes()
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


ENDINGS = [".txt", ".jsonl", ".parquet", ".txt.gz", ".jsonl.gz", ".parquet.gz"]


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
    records = list(read_records(source, settings, start=start))
    assert [record.text.strip() for record in records] == TEXTS[start:]
    assert [record.number for record in records] == [1, 2, 3][start:]
    assert all(0 < record.num_bytes_read <= source.num_bytes for record in records)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".jsonl.gz"])
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


@given(st.text(alphabet="aé東𝄞\n", max_size=60), st.integers(4, 9))
def test_long_lines_are_cut_between_characters(tmp_path_factory, text, limit):
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_text(text, "utf-8", newline="\n")
    source = Source(str(path), "text", None)
    pieces = list(_read_lines(source, max_bytes=limit))
    assert "".join(piece.decode() for _, piece, _ in pieces) == text
    lines: dict[int, str] = {}
    for number, piece, _ in pieces:
        lines[number] = lines.get(number, "") + piece.decode()
    assert list(lines.values()) == text.splitlines(keepends=True)


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
    with pytest.raises(DataError, match=r"config None, split dev\) can't be read after row 0"):
        read([name], hub_split="dev")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": "x"', r"a.jsonl, line 2: not JSON \(.*column 13\): '{\"text\": \"x\"'"),
        (b'["x"]', r"line 2: not a JSON object but list: '\[\"x\"\]'"),
        (b'{"txt": "x"}', r"line 2: no field 'text'; it has 'txt' .*Did you mean 'txt'"),
        (b'{"text": null}', r"line 2: field 'text' is NoneType, not a string: 'None'"),
        (b'{"text": "\\ud800 x"}', r"line 2: field 'text' holds half a surrogate pair at charact"),
        (b'{"text": "\xff"}', r"line 2: not UTF-8 \(invalid start byte\)"),
        (b"[" * 200_000, r"line 2: JSON that Python can't read \(.*recursion.*\): '\[\["),
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
    assert read([path]) == ["one", f"{path}, line 4: not UTF-8 (invalid start byte)", "three"]


def test_a_parquet_row_without_text_names_its_row(tmp_path):
    pq.write_table(pa.table({"text": ["one", None, "two"]}), tmp_path / "a.parquet")
    _, problem, _ = read([tmp_path])
    assert "a.parquet, row 2: field 'text' is NoneType" in problem


def test_a_parquet_file_without_the_column_names_those_it_has(tmp_path):
    path = write(tmp_path / "a.parquet", TEXTS, field="texts")
    with pytest.raises(DataError, match=r"no column 'text'; it has 'texts', 'n'.*Did you mean"):
        read([path])


@pytest.mark.parametrize("ending", [".txt.gz", ".jsonl.gz", ".parquet.gz", ".parquet"])
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
    with pytest.raises(DataError, match=rf"a{ending} can't be read.*No such file"):
        list(read_records(source, CorpusSettings()))


def test_sources_that_give_nothing_are_refused(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match=r"no source of text given; accepted: files, folders"):
        find_sources([], CorpusSettings())
    with pytest.raises(DataError, match=r"'nowhere.txt' doesn't exist; accepted: files, folders"):
        find_sources(["nowhere.txt"], CorpusSettings())
    with pytest.raises(DataError, match=r"no file matches '.*\*.jsonl'"):
        find_sources([f"{tmp_path}/*.jsonl"], CorpusSettings())
    with pytest.raises(DataError, match=r"has no file to read among 1; known endings: .txt, .text"):
        find_sources([tmp_path], CorpusSettings())
    with pytest.raises(DataError, match=r"notes.md' doesn't tell its format; known .*format=text"):
        find_sources([tmp_path / "notes.md"], CorpusSettings())
