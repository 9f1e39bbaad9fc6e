"""`predict` and `embed` over files: rows as they come, in every format, whole files or none."""

from __future__ import annotations

import gzip
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import limbeck
from limbeck.cli import main
from limbeck.cli._common import Common
from limbeck.cli._given import BadRows, Names
from limbeck.cli._opened import open_given
from limbeck.cli._rows import show_progress
from limbeck.inference import TextClassificationPipeline
from limbeck.sources import open_file
from limbeck.terminal import PlainProgress
from limbeck.tokenizers.training import train_wordpiece

TEXTS = ["the still divides", "what is left in the pot", "nobody could say when", "who owned it"]

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("models")
    tokenizer = train_wordpiece(TEXTS, vocab_size=120)
    torch.manual_seed(0)
    config = limbeck.BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        num_labels=2,
    )
    for name, model in {
        "classes": limbeck.BertForSequenceClassification(config),
        "answers": limbeck.BertForQuestionAnswering(config),
        "encoder": limbeck.BertModel(config),
    }.items():
        model.save_pretrained(base / name)
        tokenizer.save_pretrained(base / name)
    return base


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: str) -> list[dict[str, object]]:
    return [dict(row.values) for row in open_file(Path(path), reader="tasks").rows()]


def write_lines(path: str, rows: list[dict[str, object]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(*words: object) -> int:
    return main([*map(str, words), "--quiet"])


def test_a_file_of_any_format_gives_the_same_in_any_format(models: Path) -> None:
    rows = [{"id": i, "text": text} for i, text in enumerate(TEXTS * 10)]
    write_lines("rows.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    table = "".join(f"{row['id']}\t{row['text']}\n" for row in rows)
    Path("rows.tsv").write_text("id\ttext\n" + table, encoding="utf-8")
    Path("rows.txt").write_text("\n".join(TEXTS * 10), encoding="utf-8")
    expected = limbeck.pipeline("text-classification", models / "classes")(TEXTS)
    for given in ("rows.jsonl", "rows.parquet", "rows.tsv", "rows.txt"):
        for ending in ("jsonl", "csv", "parquet"):
            out = f"{given}.{ending}"
            assert run("predict", models / "classes", "--data", given, "--out", out) == 0
            found = read(out)
            assert [row["text"] for row in found] == TEXTS * 10
            assert [row["prediction"] for row in found] == [e["label"] for e in expected] * 10
            scores = [float(str(row["score"])) for row in found]
            assert scores == pytest.approx([e["score"] for e in expected] * 10, abs=1e-5)
            if given != "rows.txt":
                assert [int(str(row["id"])) for row in found] == list(range(40))
    assert pq.read_schema("rows.parquet.parquet").field("id").type == pa.int64()


def test_pairs_and_questions_stand_in_a_column(models: Path, capsys: Captured) -> None:
    rows = [{"text": a, "text_pair": b} for a, b in zip(TEXTS, TEXTS[::-1], strict=True)]
    write_lines("pairs.jsonl", rows)
    expected = limbeck.pipeline("text-classification", models / "classes")(rows)
    assert run("predict", models / "classes", "--data", "pairs.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    scores = [row["labels"][0]["score"] for row in found]
    assert scores == pytest.approx([e["score"] for e in expected], abs=1e-5)
    renamed = [{"a": row["text"], "b": row["text_pair"]} for row in rows]
    write_lines("renamed.jsonl", renamed)
    command = ["predict", models / "classes", "--data", "renamed.jsonl", "--column", "a"]
    assert run(*command, "--pair-column", "b", "--out", "found.jsonl") == 0
    assert [row["score"] for row in read("found.jsonl")] == pytest.approx(scores, abs=1e-5)
    assert run(*command, "--pair-column", "c") == 1
    assert "has no text 'c'" in (said := capsys.readouterr().err)
    assert "Say which it is with --pair-column NAME" in said
    write_lines("asked.jsonl", [{"question": "who?", "text": text} for text in TEXTS])
    assert run("predict", models / "answers", "--data", "asked.jsonl", "--json") == 0
    answered = json.loads(capsys.readouterr().out)["predictions"]
    answer = limbeck.pipeline("question-answering", models / "answers")
    best = answer(question="who?", context=TEXTS)
    assert [row["answers"][0]["answer"] for row in answered] == [b["answer"] for b in best]


def test_bad_rows_are_named_or_left_out(models: Path, capsys: Captured) -> None:
    lines = ['{"text": "fine"}', '{"text": 5}', "{no json", '{"text": "a \\ud83d"}', '{"text": ""}']
    Path("bad.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = ["predict", models / "classes", "--data", "bad.jsonl", "--out", "found.jsonl"]
    assert run(*command) == 1
    assert "bad.jsonl, line 2: column 'text' is 5; accepted: a text" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["bad.jsonl"]
    assert run(*command, "--skip-bad", "--json") == 0
    said = capsys.readouterr()
    assert "skipped: bad.jsonl, line 3, column 2: not valid JSON" in said.err
    assert "skipped: bad.jsonl, line 4: column 'text' has half a character" in said.err
    assert "skipped: bad.jsonl, line 5: column 'text' is empty; accepted: a text\n" in said.err
    assert json.loads(said.out)["num_skipped"] == 4
    assert [row["text"] for row in read("found.jsonl")] == ["fine"]
    Path("found.jsonl").unlink()
    # Nor do bad rows say what types there are.
    assert run(*command[:-1], "found.parquet", "--skip-bad") == 0
    assert read("found.parquet")[0]["text"] == "fine"
    capsys.readouterr()
    asked = ["predict", models / "answers", "--question", "who?", "--data", "lines.txt"]
    Path("lines.txt").write_text("the pot\n\nthe still\n", encoding="utf-8")
    assert run(*asked) == 1
    assert "lines.txt, line 2 is empty; accepted: a text. --skip-bad" in capsys.readouterr().err
    assert run(*asked, "--skip-bad", "--out", "answers.csv") == 0
    assert "2 rows with their answers, 1 bad one skipped: answers.csv" in capsys.readouterr().out
    Path("lines.txt").write_bytes("the pot\ncafé\n".encode("latin-1"))
    assert run("predict", models / "classes", "--data", "lines.txt") == 1
    assert "lines.txt, line 2: b'caf\\xe9\\n' is not UTF-8" in (said := capsys.readouterr().err)
    assert "iconv -f latin1 -t utf-8" in said


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "txt", "stdin"])
def test_an_empty_text_is_a_bad_row_in_every_format(
    ending: str, models: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": 1, "text": "the pot"}, {"id": 2, "text": " "}, {"id": 3, "text": "the still"}]
    path, place = Path(f"rows.{ending}"), f"rows.{ending}, line 2"
    if ending in ("csv", "tsv"):
        mark = "," if ending == "csv" else "\t"
        lines = [f"{row['id']}{mark}{row['text']}" for row in rows]
        path.write_text("\n".join([f"id{mark}text", *lines]), encoding="utf-8")
        place = f"rows.{ending}, line 3"
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        place = "rows.parquet, row 1"
    elif ending == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
        place = "rows.json, row 1"
    elif ending == "jsonl":
        write_lines(str(path), rows)
    else:
        path.write_text("".join(f"{row['text']}\n" for row in rows), encoding="utf-8")
    for command in (["predict", models / "classes"], ["embed", models / "encoder"]):
        given = ["--data", path]
        if ending == "stdin":
            given, place = [], "standard input, line 2"
        for skip, code in ((), 1), (["--skip-bad"], 0):
            if ending == "stdin":
                stream = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
                monkeypatch.setattr("sys.stdin", stream)
            out = f"{command[0]}.jsonl"
            assert run(*command, *given, *skip, "--out", out) == code
            said = capsys.readouterr().err
            assert re.search(rf"{re.escape(place)}(: column 'text')? is empty; accepted: a", said)
        assert [row["text"] for row in read(out)] == ["the pot", "the still"]
    assert run("predict", models / "classes", "the pot", "") == 1
    assert "text 2 is empty; accepted: a text" in capsys.readouterr().err


def test_standard_input_and_a_file_are_read_by_one_rule(
    models: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of JSON have their columns found alike, and their pairs and labels too."""
    rows = [{"sentence": a, "text_pair": b, "n": 1} for a, b in pairwise(TEXTS)]
    write_lines("rows.jsonl", rows)
    found = []
    for given in (["--data", "rows.jsonl"], []):
        content = b"\n" + Path("rows.jsonl").read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert run("predict", models / "classes", *given, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert [row["n"] for row in found[1]["predictions"]] == [1, 1, 1]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"body": "the pot"}\n')))
    assert run("predict", models / "classes") == 1
    said = capsys.readouterr().err
    assert "standard input, line 1: has no text 'text'" in said
    assert "It has: body. Say which it is with --column NAME" in said


def test_texts_that_are_cut_are_counted(models: Path, capsys: Captured) -> None:
    texts = ["the pot", "the still divides " * 3, "who owned it " * 4]
    for command in (["predict", models / "classes"], ["embed", models / "encoder"]):
        assert run(*command, *texts, "--max-length", 8, "--json") == 0
        said = capsys.readouterr()
        expected = "2 of 3 texts were longer than 8 tokens, and cut there; --max-length takes up to"
        assert expected in said.err
        found = json.loads(said.out)
        assert (found["num_cut"], found["max_length"]) == (2, 8)
        assert run(*command, *texts, "--json") == 0
        said = capsys.readouterr()
        assert (json.loads(said.out)["num_cut"], said.err) == (0, "")
    asked = ["predict", models / "answers", "--question", "who?", *texts, "--json"]
    assert run(*asked, "--max-length", 12) == 0
    said = capsys.readouterr()  # windows read all of it
    assert (json.loads(said.out)["num_cut"], said.err) == (0, "")


def test_an_interrupted_command_leaves_nothing(
    models: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("lines.txt").write_text("the pot\n" * 99, encoding="utf-8")
    seen = []
    ask = TextClassificationPipeline._run

    def interrupt(self: TextClassificationPipeline, *given: object) -> object:
        seen.extend(Path().glob(".found.csv.*"))
        if len(seen) > 1:
            raise KeyboardInterrupt
        return ask(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(TextClassificationPipeline, "_run", interrupt)
    command = ["predict", models / "classes", "--data", "lines.txt", "--out", "found.csv"]
    assert run(*command) == 130
    assert "interrupted; nothing was written to found.csv" in capsys.readouterr().err
    assert seen
    assert [path.name for path in Path().iterdir()] == ["lines.txt"]


class Watched(Common):
    """Options with which every report is a line."""

    def progress(self) -> PlainProgress:
        return PlainProgress(every_seconds=0)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.csv", "standard input"])
def test_progress_counts_rows(name: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = name.removesuffix(".gz")
    if plain.endswith(".jsonl"):
        write_lines(plain, [{"text": text} for text in [*TEXTS, ""]])
    else:
        Path(plain).write_text("\n".join(["text", *TEXTS[1:]]) + "\n")
    if name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(Path(plain).read_bytes()))
    data = None if name == "standard input" else Path(name)
    if data is None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(plain).read_bytes())))
    opened = open_given([], data=data, names=Names(["text"]))
    bad = BadRows(skip=True, tells=False)
    found = [(row, None) for row in opened.rows(bad)]
    count = {"a.csv": 3}.get(name, 4)
    watched = show_progress(found, description="reading", opened=opened, common=Watched())
    assert list(watched) == found
    *lines, last = capsys.readouterr().err.splitlines()
    of = "" if data is None else f"/{count}"
    assert [line.split(",")[0] for line in lines] == [
        f"reading: {done}{of} rows" for done in range(count + 1)
    ]
    assert last.startswith(f"reading: {count} rows in ")
    monkeypatch.setattr("limbeck.cli._rows._COUNTED_BYTES", 0)
    list(show_progress(found, description="reading", opened=opened, common=Watched()))
    shares = [line.split(", ")[1] for line in capsys.readouterr().err.splitlines()[1:-1]]
    if data is not None:
        size = data.stat().st_size
        assert shares == [f"{100 * row.position / size:.0f} %" for row, _ in found]


def test_odd_texts_are_texts(models: Path, capsys: Captured) -> None:
    odd = ["\x1b[31mred\x00\x07 \u202e", "the pot " * 50_000, "the pot", "\u200b"]
    Path("odd.txt").write_text("\n".join(odd), encoding="utf-8")
    assert run("predict", models / "classes", "--data", "odd.txt") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].split("  ", 1)[1] == r"\x1b[31mred\x00\x07 \u202e"
    expected = "1 of 4 texts were longer than 64 tokens, and cut there; which is the most that the"
    assert expected in shown.err
    assert run("predict", models / "classes", "--data", "odd.txt", "--out", "found.jsonl") == 0
    assert [row["text"] for row in read("found.jsonl")] == odd
    assert run("embed", models / "encoder", "--data", "odd.txt", "--out", "odd.npy") == 0
    assert np.load("odd.npy").shape == (4, 16)


def test_rows_of_json_may_differ(
    models: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, object]] = [{"text": "a"}, {"text": "b", "n": 1, "more": ["x"]}]
    write_lines("rows.jsonl", rows)
    for ending in ("csv", "parquet"):
        command = ["predict", models / "classes", "--data", "rows.jsonl"]
        assert run(*command, "--out", f"found.{ending}") == 0
        first, second = read(f"found.{ending}")
        assert (first["n"] or None, str(second["n"]), second["more"]) == (None, "1", '["x"]')
    assert [type(row["n"]) for row in read("found.parquet")] == [type(None), int]
    command = ["predict", models / "classes", "--data", "types.jsonl", "--out", "types.parquet"]
    rows = [{"text": "a", "n": 1}] * 1024 + [{"text": "a", "n": 1.5}]
    write_lines("types.jsonl", rows)
    assert run(*command) == 0
    assert pq.read_schema("types.parquet").field("n").type == pa.float64()
    Path("types.parquet").unlink()
    write_lines("types.jsonl", [*rows, {"text": "a", "n": "one"}])
    monkeypatch.setattr(TextClassificationPipeline, "_run", None)  # nothing is computed for it
    assert run(*command) == 1
    said = capsys.readouterr().err
    assert "can't write types.parquet: a column's values are of several types" in said
    assert not Path("types.parquet").exists()


def test_embed_writes_what_the_encoder_gives(models: Path, capsys: Captured) -> None:
    expected = limbeck.SentenceEncoder(models / "encoder", device="cpu").encode(TEXTS * 10)
    rows = [{"id": f"d{i}", "sentence": text} for i, text in enumerate(TEXTS * 10)]
    write_lines("rows.jsonl", rows)
    embed = ["embed", models / "encoder", "--data", "rows.jsonl"]
    assert run(*embed, "--out", "found.npy") == 0
    assert capsys.readouterr().out == "40 vectors of 16 numbers: found.npy\n"
    np.testing.assert_allclose(np.load("found.npy"), expected, atol=1e-5)
    assert run(*embed, "--out", "found.parquet", "--batch-size", "3") == 0
    table = pq.read_table("found.parquet")
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert table["id"].to_pylist() == [row["id"] for row in rows]
    np.testing.assert_allclose(np.stack(table["embedding"].to_numpy()), expected, atol=1e-5)
    assert run(*embed, "--out", "found.jsonl", "--truncate-dim", 4, "--normalize") == 0
    kept = expected[:, :4] / np.linalg.norm(expected[:, :4], axis=1, keepdims=True)
    found = [row["embedding"] for row in read("found.jsonl")]
    np.testing.assert_allclose(found, kept, atol=1e-5)
    capsys.readouterr()
    command = ["embed", models / "encoder", "the pot", "--prompt", "query: ", "--json"]
    assert run(*command, "--max-length", 8) == 0
    encoder = limbeck.SentenceEncoder(models / "encoder", device="cpu", max_seq_length=8)
    vector = encoder.encode("the pot", prompt="query: ")
    said = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(said["embeddings"], [vector], atol=1e-5)
    Path("empty.txt").write_text("")
    assert run("embed", models / "encoder", "--data", "empty.txt", "--out", "empty.npy") == 1
    assert "--data empty.txt has no rows: it is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x"], "has nowhere to put the vectors; accepted: --out FILE.npy, FILE.parquet"),
        (["x", "--out", "a.csv"], "--out a.csv says no format; accepted: names that end in .npy"),
        (["x", "--out", "a.npy", "--skip-bad"], "--skip-bad would move the rows of a.npy"),
        (["x", "--json", "--truncate-dim", "17"], "truncate_dim = 17; accepted: 1 to 16"),
        (["x", "--json", "--prompt-name", "query"], "there is no prompt 'query'; accepted: none"),
        (["x", "--json", "--prompt-name", "a", "--prompt", "b"], "are both given; accepted: one"),
        (["there.txt", "--json"], "embed {} < there.txt, for a column of a table: limbeck embed"),
        (["--data", "rows.csv", "--json", "x"], "--data rows.csv and a text are both given"),
    ],
)
def test_embed_refuses_what_it_can_not_do(
    arguments: list[str], expected: str, models: Path, capsys: Captured
) -> None:
    Path("there.txt").write_text("a", encoding="utf-8")
    assert run("embed", models / "encoder", *arguments) == 2
    assert expected.format(models / "encoder") in capsys.readouterr().err
