"""`predict` on rows: which column is read, and what becomes of the others."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from model_commands import Captured, read_json

from limbeck.cli import main
from limbeck.sources import open_file

pytestmark = pytest.mark.usefixtures("inside")


def test_predict_keeps_the_other_columns(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [
        {"review": "the mill", "n": 1, "x": float("nan")},  # as pandas writes a gap
        {"review": "the, pot", "n": 2, "who": ["a", "b"]},
    ]
    lines = "\ufeff" + "\n\n".join(json.dumps(row) for row in rows) + "\n"
    rows[0]["x"] = None
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert main(["predict", "teacher", "--column", "review", "--json"]) == 0
    predictions = read_json(capsys)["predictions"]
    assert isinstance(predictions, list)
    assert [(item["review"], item["n"], item["text"]) for item in predictions] == [
        ("the mill", 1, "the mill"),
        ("the, pot", 2, "the, pot"),
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text(lines, encoding="utf-8")
    found = {}
    for ending in ("jsonl", "csv"):
        out = tmp_path / f"found.{ending}"
        command = ["predict", "teacher", "--data", str(data), "--column", "review"]
        assert main([*command, "--out", str(out), "--top-k", "2"]) == 0
        assert capsys.readouterr().out == f"2 rows with their labels: {out}\n"
        found[ending] = [row.values for row in open_file(out, reader="tasks").rows()]
        assert main([*command, "--out", str(out)]) == 2
        assert "is there already" in capsys.readouterr().err
    for row, written, cells in zip(rows, found["jsonl"], found["csv"], strict=True):
        assert {name: written[name] for name in row} == row
        best = written["labels"][0]
        assert (written["prediction"], written["score"]) == (best["label"], best["score"])
        assert cells["review"] == row["review"]
        assert json.loads(cells["labels"]) == written["labels"]
        assert float(cells["score"]) == written["score"]
    again = ["predict", "teacher", "--data", str(tmp_path / "found.csv"), "--column", "review"]
    assert main([*again, "--out", str(tmp_path / "again.csv")]) == 1
    assert "have a column 'prediction' already" in capsys.readouterr().err
    assert not (tmp_path / "again.csv").exists()


def test_predict_cuts_where_the_model_learned_to_read(capsys: Captured, tmp_path: Path) -> None:
    model = tmp_path / "learned"
    shutil.copytree("teacher", model)
    memory = {"task": "sst2", "task_options": {}, "max_length": 8}
    (model / "limbeck.json").write_text(json.dumps(memory), encoding="utf-8")
    ask = ["predict", str(model), "the pot " * 20, "the mill", "--json"]
    assert main(ask) == 0
    found = read_json(capsys)
    assert (found["max_length"], found["num_cut"]) == (8, 1)
    assert main([*ask, "--max-length", "64"]) == 0
    found = read_json(capsys)
    assert (found["max_length"], found["num_cut"]) == (64, 0)


def test_predict_writes_over_no_column(capsys: Captured, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("review,text\nthe mill,another\n", encoding="utf-8")
    command = ["predict", "teacher", "--data", str(data), "--column", "review"]
    assert main([*command, "--json"]) == 0
    (row,) = read_json(capsys)["predictions"]  # type: ignore[misc]
    assert (row["review"], row["text"]) == ("the mill", "another")
    data.write_text("review,labels,score\nthe mill,good,1\n", encoding="utf-8")
    assert main([*command, "--json"]) == 1
    assert "have a column 'labels' already, which --json would write" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "found.csv")]) == 1
    assert "have a column 'score' already, which --out would write" in capsys.readouterr().err


def test_predict_of_words_that_are_divided_already(capsys: Captured, tmp_path: Path) -> None:
    data = tmp_path / "words.jsonl"
    words = ["the", "mill-race", "divides"]
    data.write_text(json.dumps({"tokens": words, "id": 7}) + "\n", encoding="utf-8")
    assert main(["predict", "entities", "--data", str(data), "--column", "tokens", "--json"]) == 0
    (row,) = read_json(capsys)["predictions"]  # type: ignore[misc]
    assert (row["id"], row["tokens"], row["text"]) == (7, words, "the mill-race divides")
    edges = {0, 3, 4, 13, 14, 21}  # of the words: none is divided further
    assert {place for item in row["entities"] for place in (item["start"], item["end"])} <= edges
    assert main(["predict", "teacher", "--data", str(data), "--column", "tokens"]) == 2
    assert "the column holds lists of words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "rows.csv", "a text"], "--data rows.csv and a text are both given"),
        (["--data", "absent.csv"], "--data absent.csv: there is no such file"),
        (["--data", "lines.txt", "--column", "body"], "has no text 'body', nor a list of words"),
        (["--data", "."], "--data . is a folder; accepted: a file, such as "),
        (["--data", "empty.csv"], "--data empty.csv has no rows: it is empty"),
        (["--data", "utf16.csv"], "is not UTF-8 (invalid start byte); convert the file first"),
        (["--data", "gap.jsonl"], "gap.jsonl, line 2: column 'text' is None; accepted: a text, or"),
        (["--data", "gap.jsonl", "--column", "n"], "gap.jsonl, line 1: column 'n' is 5; accepted"),
        (["--out", "found.txt", "x"], "--out found.txt says no format; accepted: names that end"),
        (["--out", "no/such/found.csv", "x"], "there is no folder no/such"),
    ],
)
def test_predict_refuses_what_it_can_not_read_or_write(
    arguments: list[str], expected: str, capsys: Captured
) -> None:
    Path("lines.txt").write_text("a fine mill\n", encoding="utf-8")
    Path("empty.csv").write_text("", encoding="utf-8")
    Path("utf16.csv").write_text("text\nthe mill\n", encoding="utf-16")
    Path("gap.jsonl").write_text(
        '{"text": "a", "n": 5}\n{"text": null, "n": 6}\n', encoding="utf-8"
    )
    assert main(["predict", "teacher", *arguments]) in (1, 2)
    assert expected in capsys.readouterr().err


def test_predict_reads_the_column_that_the_model_was_fine_tuned_on(
    capsys: Captured, tmp_path: Path
) -> None:
    shutil.copytree("teacher", "taught")
    options = {"text_column": "Review Text", "labels": ["a", "b"]}
    memory = {"task": "text_classification", "task_options": options, "max_length": 16}
    Path("taught/limbeck.json").write_text(json.dumps(memory), encoding="utf-8")
    data = tmp_path / "rows.csv"
    data.write_text("text,Review Text\nno,the mill\n", encoding="utf-8")
    assert main(["predict", "taught", "--data", str(data), "--json"]) == 0
    (found,) = read_json(capsys)["predictions"]
    assert (found["Review Text"], found["text"]) == ("the mill", "no")
    assert main(["predict", "taught", "the mill", "--json"]) == 0
    assert read_json(capsys)["predictions"][0]["labels"] == found["labels"]
    data.write_text("body\nthe mill\n", encoding="utf-8")
    assert main(["predict", "taught", "--data", str(data)]) == 1
    assert "has no text 'Review Text'" in (said := capsys.readouterr().err)
    assert "It has: body. Say which it is with --column NAME" in said


def test_predict_asks_for_pairs_of_a_model_that_learned_from_pairs(
    capsys: Captured, tmp_path: Path
) -> None:
    shutil.copytree("teacher", "paired")
    options = {"text_column": "a", "text_pair_column": "b", "labels": ["x", "y"]}
    memory = {"task": "text_classification", "task_options": options, "max_length": 16}
    Path("paired/limbeck.json").write_text(json.dumps(memory), encoding="utf-8")
    data = tmp_path / "rows.csv"
    data.write_text("a,c\nthe mill,the pot\n", encoding="utf-8")
    for given in (["the mill"], ["--data", str(data)]):
        assert main(["predict", "paired", *given]) == 2
        said = capsys.readouterr().err
        assert "paired has learned from pairs, which needs --text-pair; accepted: limbeck" in said
        assert "--data FILE --pair-column NAME" in said
    assert main(["predict", "paired", "--data", str(data), "--pair-column", "c", "--json"]) == 0
    (found,) = read_json(capsys)["predictions"]  # type: ignore[misc]
    assert main(["predict", "paired", "the mill", "--text-pair", "the pot", "--json"]) == 0
    (other,) = read_json(capsys)["predictions"]  # type: ignore[misc]
    assert found["labels"] == other["labels"]
    data.write_text("a,b\nthe mill,the pot\n", encoding="utf-8")
    assert main(["predict", "paired", "--data", str(data), "--json"]) == 0
    assert read_json(capsys)["predictions"][0]["labels"] == found["labels"]  # type: ignore[index]
