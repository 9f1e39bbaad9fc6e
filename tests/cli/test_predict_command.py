"""`predict` on texts that are given, by tiny real models for all tasks."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from model_commands import TEXTS, Captured, read_json

from limbeck.cli import main
from limbeck.cli._given import BadRows, Names
from limbeck.cli._opened import open_given
from limbeck.errors import DataError

pytestmark = pytest.mark.usefixtures("inside")


def test_predict(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["predict", "teacher", "the mill", "the water", "--top-k", "2", "--json"]) == 0
    predictions = read_json(capsys)["predictions"]
    assert isinstance(predictions, list)
    assert [item["text"] for item in predictions] == ["the mill", "the water"]
    assert all(len(item["labels"]) == 2 for item in predictions)
    one_by_one = ["predict", "teacher", "the mill", "the water", "--top-k", "2", "--json"]
    assert main([*one_by_one, "--batch-size", "1", "--device", "cpu"]) == 0
    for item, other in zip(read_json(capsys)["predictions"], predictions, strict=True):
        assert [a["label"] for a in item["labels"]] == [b["label"] for b in other["labels"]]
    assert main(["predict", "teacher", "x", "--batch-size", "0"]) == 2
    assert "batch_size" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the mill\nthe pot\n")))
    assert main(["predict", "teacher"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["the mill", "the pot"]
    assert main(["predict", "teacher", "the mill\nand " + "the pot " * 99]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("  the mill and the pot the pot" + " the pot" * 8 + " the...")


def test_predict_entities(capsys: Captured) -> None:
    texts = ["the mill\nthe  water", "\u200b", "the mill " * 60]
    assert main(["predict", "entities", *texts]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the mill the water"
    (entity, *_), second = lines[1].split(), lines.index("\u200b")
    assert entity == "WHO"
    assert lines[second + 1] == "  (none)"
    assert lines[second + 2].startswith("the mill the mill ")
    assert lines[second + 2].endswith("...")
    assert main(["predict", "entities", *texts, "--json"]) == 0
    result = read_json(capsys)
    assert result["task"] == "token-classification"
    predictions = result["predictions"]
    assert isinstance(predictions, list)
    assert [item["text"] for item in predictions] == texts
    assert predictions[1]["entities"] == []
    assert predictions[2]["entities"][-1]["end"] == len(texts[2]) - 1
    assert set(predictions[0]["entities"][0]) == {"entity_group", "score", "word", "start", "end"}
    tokens = ["predict", "entities", "the mill", "--aggregation-strategy", "none"]
    assert main([*tokens, "--json"]) == 0
    (prediction,) = read_json(capsys)["predictions"]  # type: ignore[misc]
    assert [item["index"] for item in prediction["entities"]] == [1, 2]
    assert main(tokens) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0][2:], row[1], row[3]) for row in rows] == [
        ("WHO", "the", "0-3"),
        ("WHO", "mill", "4-8"),
    ]


def test_predict_answers(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ["predict", "answers", "--question", "who owned the water"]
    assert main([*ask, TEXTS[0], TEXTS[1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == TEXTS[:2]
    assert main([*ask, "--top-k", "3", "--json", *TEXTS[:2]]) == 0
    result = read_json(capsys)
    assert result["task"] == "question-answering"
    assert result["question"] == "who owned the water"
    for line, prediction in zip(lines[1::2], result["predictions"], strict=True):  # type: ignore[call-overload]
        assert len(prediction["answers"]) == 3
        best = prediction["answers"][0]
        assert prediction["text"][best["start"] : best["end"]] == best["answer"]
        shown = f"  {best['answer']}  {best['score']:.4f}  {best['start']}-{best['end']}"
        assert line == shown
    everything = [*ask, "--handle-impossible-answer", "--top-k", "500", "the pot"]
    assert main(everything) == 0
    assert "  (no answer)" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the mill\nthe pot\n")))
    assert main(ask) == 0
    assert capsys.readouterr().out.splitlines()[::2] == ["the mill", "the pot"]


def test_predict_without_a_head(capsys: Captured) -> None:
    assert main(["predict", "bare", "x"]) == 1
    error = capsys.readouterr().err
    assert "bare holds a BertModel, which has no head for a task yet; accepted" in error
    assert "limbeck finetune model=bare task=... data=... out=RUN" in error
    assert main(["predict", "masked", "x"]) == 1
    assert "text 1: 'x' has no [MASK]; accepted: texts with one or more" in capsys.readouterr().err


def test_predict_with_other_pipelines(capsys: Captured) -> None:
    def run(*words: str) -> list[dict[str, object]]:
        assert main(["predict", *words, "--json"]) == 0
        found = read_json(capsys)["predictions"]
        assert isinstance(found, list)
        return found

    (one,) = run("masked", "the [MASK]", "--top-k", "2", "--targets", "mill", "--targets", "pot")
    assert {filling["token_str"] for filling in one["fillings"]} == {"mill", "pot"}  # type: ignore[attr-defined]
    (one,) = run("masked", "[MASK] [MASK]")
    assert [filling["mask"] for filling in one["fillings"]] == [0, 1]  # type: ignore[attr-defined]
    assert main(["predict", "masked", "the [MASK]"]) == 0
    assert capsys.readouterr().out.endswith("  the [MASK]\n")

    (one,) = run("choices", "the mill", "--choices", "the water", "--choices", "the pot")
    assert set(one["answers"][0]) == {"index", "choice", "score"}  # type: ignore[index]
    rows = [
        {"text": "the mill", "choices": ["the pot", "the water"]},
        {"text": "the pot", "choices": ["the mill", "the water", "the still"]},
    ]
    Path("choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = Path("chosen.jsonl")
    assert main(["predict", "choices", "--data", "choices.jsonl", "--out", str(chosen)]) == 0
    for line, row in zip(chosen.read_text().splitlines(), rows, strict=True):
        written = json.loads(line)
        assert written.keys() == {"text", "choices", "prediction", "score"}
        assert written["prediction"] in row["choices"]
    chosen.unlink()
    capsys.readouterr()

    compare = ["--task", "sentence-similarity", "--source-sentence", "the mill"]
    same, other = run("bare", *compare, "the mill", "the pot")
    assert same["similarity"][0]["score"] > other["similarity"][0]["score"]  # type: ignore[index]
    assert main(["predict", "bare", *compare, "the mill"]) == 0
    assert capsys.readouterr().out == "1.0000  the mill\n"
    assert main(["predict", "absent", "x"]) in (1, 2)
    assert "absent" in capsys.readouterr().err


def test_predict_takes_no_file_and_no_json_for_a_text(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert main(["predict", "teacher", "text.txt"]) == 2
    assert "limbeck predict teacher < text.txt" in capsys.readouterr().err
    assert main(["predict", "teacher", "the mill " * 1000]) == 0
    assert main(["predict", "teacher", "the mill", "--column", "text"]) == 2
    assert "limbeck predict teacher --column text < FILE" in capsys.readouterr().err
    rows = '{"text": "the mill", "label": 1}\n{"text": "the {pot}", "label": 0}\n'
    give(f"the mill\n{rows}")
    assert main(["predict", "teacher"]) == 1
    error = capsys.readouterr().err
    assert "line 2: a JSON object among lines of text; accepted: an object on every" in error
    assert "It has: text, label" in error
    give(rows)
    assert main(["predict", "teacher", "--column", "text", "--json"]) == 0
    predictions = read_json(capsys)["predictions"]
    assert isinstance(predictions, list)
    assert [item["text"] for item in predictions] == ["the mill", "the {pot}"]
    give(rows)
    assert main(["predict", "teacher", "--column", "texts"]) == 1
    assert "no text 'texts', nor a list of words. Did you mean 'text'?" in capsys.readouterr().err
    give("the mill\n")
    assert main(["predict", "teacher", "--column", "text"]) == 1
    assert "line 1, column 1: not valid JSON" in capsys.readouterr().err
    give("{the mill}\n")
    assert main(["predict", "teacher"]) == 0


def test_bytes_on_standard_input_that_are_not_text_are_named_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"fine\n\xff bad\n")))
    with pytest.raises(DataError, match=r"standard input, line 2: b'\\xff.* is not UTF-8.*iconv"):
        list(open_given((), data=None, names=Names(["text"])).rows(BadRows(skip=False)))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["predict", "teacher", "x", "--top-k", "0"], "top_k = 0: must be at least 1"),
        (
            ["predict", "answers", "x"],
            'which needs --question; accepted: limbeck predict answers --question "..." TEXT',
        ),
        (
            ["predict", "teacher", "--question", "a", "x"],
            "question-answering, and teacher is read as a model for text-classification; leave it",
        ),
        (
            ["predict", "entities", "--top-k", "2", "x"],
            "question-answering, text-classification, and entities is read as a model for",
        ),
        (
            ["predict", "answers", "--question", "a", "--aggregation-strategy", "max", "x"],
            "--aggregation-strategy is for token-classification, and answers is read as a model",
        ),
        (
            ["predict", "teacher", "--handle-impossible-answer", "x"],
            "--handle-impossible-answer is for question-answering, and teacher",
        ),
        (
            ["predict", "teacher", "x", "--pair-column", "b"],
            "--pair-column b is for rows of a table, and texts are given without one; accepted",
        ),
        (
            ["predict", "choices", "x"],
            'accepted: limbeck predict choices --choices "..." --choices "..." TEXT ..., or a file',
        ),
        (
            ["predict", "bare", "x", "--task", "embeddings"],
            "--task embeddings gives numbers, not what can be read; accepted: limbeck embed bare",
        ),
        (
            ["predict", "entities", "--task", "sentiment-analysis", "x"],
            "text-classification pipeline was asked for; its pipeline is 'token-classification'",
        ),
        (
            ["predict", "entities", "--aggregation-strategy", "frist", "x"],
            "aggregation_strategy = 'frist'; accepted: none, simple, first, average, max. Did",
        ),
    ],
)
def test_wrong_arguments(command: list[str], expected: str, capsys: Captured) -> None:
    assert main(command) == 2
    assert expected in capsys.readouterr().err
