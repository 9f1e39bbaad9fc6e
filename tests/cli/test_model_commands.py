"""Commands that need models and texts, on tiny real ones."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import limbeck
from limbeck.cli import _given, main
from limbeck.errors import DataError
from limbeck.sources import open_file
from limbeck.tokenizers.training import train_wordpiece

TEXTS = [
    "the still divides what rises first from what rises later",
    "what is left in the pot is thrown away",
    "nobody could say when the mill had last turned",
    "everybody knew who owned the water",
] * 40

TAGS = {0: "B-WHO", 1: "I-WHO"}

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a teacher, a student and a bare encoder."""
    base = tmp_path_factory.mktemp("models")
    documents = [f"{text} {number}" for number, text in enumerate(TEXTS)]
    (base / "text.txt").write_text("\n\n".join(documents))
    tokenizer = train_wordpiece(TEXTS, vocab_size=200)
    torch.manual_seed(0)
    sizes = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    teacher = limbeck.BertConfig(num_hidden_layers=2, num_labels=2, **sizes)
    models = {
        "teacher": limbeck.BertForSequenceClassification(teacher),
        "masked": limbeck.BertForMaskedLM(teacher),
        "bare": limbeck.BertModel(teacher),
        "entities": limbeck.BertForTokenClassification(teacher.replace(id2label=TAGS)),
        "answers": limbeck.BertForQuestionAnswering(teacher),
        "choices": limbeck.BertForMultipleChoice(teacher),
    }
    for name, model in models.items():
        model.save_pretrained(base / name)
        tokenizer.save_pretrained(base / name)
    return base


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def read_json(capsys: Captured) -> dict[str, object]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


BUILD = ["corpus", "build", "text.txt", "heldout_ratio=0.3", "--tokenizer", "masked"]


def test_corpus_and_distill(capsys: Captured) -> None:
    build = [*BUILD, "--out", "corpus"]
    assert main([*build, "--dry-run", "--json"]) == 0
    planned = read_json(capsys)
    assert planned["sources"] == ["text.txt"]
    assert planned["tokenizer"].startswith("masked, ")
    assert main([*build, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  heldout_ratio = 0.3"
    assert main([*build, "--settings"]) == 0
    assert "\nheldout_ratio = 0.3\n" in capsys.readouterr().out
    assert main([*build[:-3], "nowhere/at all", "--out=corpus", "--dry-run"]) == 1
    assert "nowhere/at all" in capsys.readouterr().err
    assert not Path("corpus").exists()
    assert main(build) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["split", "documents", "tokens", "shards"]
    assert "MB" in err
    assert main(["corpus", "info", "corpus", "--json"]) == 0
    info = read_json(capsys)
    assert info["verified"] is True
    assert main(["corpus", "info", "masked"]) == 1
    assert "masked" in capsys.readouterr().err

    settings = ["teacher=masked", "corpus=corpus", "out=run", "sequence_length=16", "max_steps=2"]
    command = ["distill", *settings, "batch_size=4", "device=cpu"]
    assert main([*command, "--dry-run", "--json"]) == 0
    planned = read_json(capsys)
    assert planned["recipe"] == "distill"
    assert planned["plan"]
    assert main([*command, "--json"]) == 0
    made = read_json(capsys)
    assert made["num_layers"] == 1
    assert made["folders"] == {"run": "run", "model": "run/model"}
    record = json.loads(Path("run/run.json").read_text())
    assert record["settings"]["max_steps"] == 2
    assert main([*command, "batch_size=8"]) == 2
    assert "batch_size was 4, now 8" in capsys.readouterr().err


def test_wrong_corpus_settings(capsys: Captured) -> None:
    assert main([*BUILD, "--out", "other", "heldout_ration=1"]) == 2
    assert "Did you mean 'heldout_ratio'?" in capsys.readouterr().err
    assert main(["corpus", "build", "absent.txt", "--tokenizer", "masked", "--out", "other"]) == 1
    assert "absent.txt" in capsys.readouterr().err
    assert not Path("other").exists()


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
    texts = ["the mill\nthe  water", " ", "the mill " * 60]
    assert main(["predict", "entities", *texts]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the mill the water"
    (entity, *_), second = lines[1].split(), lines.index("")
    assert entity == "WHO"
    assert lines[second : second + 2] == ["", "  (none)"]
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


def test_bench(capsys: Captured) -> None:
    options = {"--repeats": "1", "--batch-size": "4,2", "--max-length": "64", "--threads": "1"}
    measure = ["bench", "teacher", "bare", *(word for pair in options.items() for word in pair)]
    measure += ["--device", "cpu", "--no-memory"]
    assert main([*measure, "--json", "--quiet", "--length", "8,16"]) == 0
    result = read_json(capsys)
    assert result["reference"] == "teacher"
    assert result["models"]["bare"] == {"engine": "torch", "precision": "fp32"}  # type: ignore[index, call-overload]
    measured = result["measured"]
    assert [entry["num_tokens"] for entry in measured] == [8, 16]  # type: ignore[attr-defined]
    assert [entry["num_threads"] for entry in measured] == [1, 1]  # type: ignore[attr-defined]
    speeds = measured[0]["speeds"]  # type: ignore[index]
    assert {size: set(found) for size, found in speeds.items()} == {
        "4": {"teacher", "bare"},
        "2": {"teacher", "bare"},
    }
    waits = speeds["4"]["bare"]["percentiles_ms"]
    assert 0 < waits["p50"] <= waits["p95"] <= waits["p99"]
    Path("lines.txt").write_text("the mill\n\nthe\u2028pot\n", encoding="utf-8")
    assert main([*measure, "--texts", "lines.txt"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "Texts as they are, 1 thread"
    assert [row.split()[0] for row in rows[1:4]] == ["model", "teacher", "bare"]
    head = ["model", "engine", "precision", "p50 (ms)", "p95 (ms)", "p99 (ms)"]
    head += ["texts/s, batch 4", "texts/s, batch 2", "speed-up, one text"]
    head += ["speed-up, batch 4", "speed-up, batch 2"]
    assert re.split("  +", rows[1]) == head
    assert rows[2].split()[-3:] == ["1.00x", "1.00x", "1.00x"]
    about = " ".join(rows[4:])
    for said in ("2 texts", "threads: 1;", "device cpu", "1 round,", "most 64 tokens", "teacher"):
        assert said in about
    assert main([*measure, "--texts", "lines.txt", "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert all(said in planned for said in ("2 texts", "1 rounds", "batches of 4,2", "threads 1"))


@pytest.mark.slow
def test_bench_writes_a_page_with_memory(capsys: Captured) -> None:
    command = ["bench", "teacher", "bare", "--repeats", "1", "--batch-size", "2", "--out", "side"]
    assert main([*command, "--device", "cpu", "--json"]) == 0
    found = read_json(capsys)
    page = Path("side/bench.md").read_text(encoding="utf-8")
    for said in ("p99 (ms)", "Size and memory", "teacher", "bare", "Processor"):
        assert said in page
    assert json.loads(Path("side/bench.json").read_text(encoding="utf-8")) == found
    size = Path("teacher/model.safetensors").stat().st_size
    teacher = found["models"]["teacher"]  # type: ignore[index, call-overload]
    assert teacher["file_bytes"] == size
    if Path("/proc/self/status").exists():
        assert teacher["peak_bytes"] > 50_000_000  # Python and torch alone


def test_bench_takes_an_even_sample_of_many_texts(capsys: Captured) -> None:
    Path("many.txt").write_text("\n".join(f"the mill {number}" for number in range(1, 101)))
    measure = ["bench", "bare", "--texts", "many.txt", "--repeats", "1", "--device", "cpu"]
    measure += ["--no-memory"]
    assert main([*measure, "--json"]) == 0
    measured = read_json(capsys)["measured"]
    assert measured[0]["speeds"]["32"]["bare"]["num_texts"] == 64  # type: ignore[index]
    for batch_size, number in ((4, 64), (80, 80), (500, 100)):
        assert main([*measure, "--batch-size", str(batch_size), "--dry-run"]) == 0
        planned = capsys.readouterr().out
        assert f"{number} texts" in planned
        assert ("100 of many.txt" in planned) == (number < 100)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["bench"], "no model given; accepted: model folders or Hub ids"),
        (["bench", "bare", "bare"], "'bare' is given twice; accepted: once each"),
        (
            ["bench", "bare", "--texts", "no.txt"],
            "--texts: can't read no.txt: there is no such file",
        ),
        (["bench", "bare", "--texts", "empty.txt"], "--texts: empty.txt holds no text"),
        (["bench", "bare", "--batch-size", "8,8"], "--batch-size '8,8': accepted: whole numbers"),
        (["bench", "bare", "--threads", "0"], "--threads '0': accepted: whole numbers of at"),
        (["bench", "bare", "--length", "x"], "--length 'x': accepted: whole numbers of at least 1"),
        (["bench", "bare", "--engine", "torsh"], "no 'torsh' among the engines"),
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
            "reranking, text-classification, and entities is read as a model for token-class",
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
            ["predict", "choices", "x"],
            "which needs --choices; accepted: limbeck predict choices --",
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
        (["report", "--out", "x"], "no run given; accepted: one or more folders of finetune"),
    ],
)
def test_wrong_arguments(command: list[str], expected: str, capsys: Captured) -> None:
    Path("empty.txt").write_text("\n \n")
    assert main(command) == 2
    assert expected in capsys.readouterr().err


def test_report_of_what_is_no_run(capsys: Captured) -> None:
    assert main(["report", "bare", "--out", "report"]) == 1
    assert "bare" in capsys.readouterr().err
    assert not Path("report").exists()


def test_finetune_evaluate_report(capsys: Captured) -> None:
    Path("data").mkdir()
    for split in ("train", "validation", "test"):
        rows = [{"sentence": text, "label": i % 2} for i, text in enumerate(TEXTS[:24])]
        Path(f"data/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ["data=data", "max_steps=2", "batch_size=8", "max_length=32", "device=cpu"]
    command = ["finetune", *settings, "model=bare"]
    for role in ("teacher", "student"):
        assert main([*command, f"out=runs/{role}", f"role={role}", f"label={role}"]) == 0
    assert "student, seed 0: validation accuracy 0." in capsys.readouterr().err
    evaluate = [
        "evaluate",
        "model=runs/teacher/model",
        "data=data",
        "out=runs/evaluated",
        "max_length=32",
    ]
    assert main([*evaluate, "device=cpu", "--json"]) == 0
    assert read_json(capsys)["recipe"] == "evaluate"

    report = ["report", "runs/teacher", "runs/student", "--out", "page", "--no-measure"]
    assert main([*report, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "runs/teacher  teacher  teacher",
        "runs/student  student  student",
    ]
    assert not Path("page").exists()
    assert main([*report, "--json"]) == 0
    files = read_json(capsys)["files"]
    assert files == ["page/report.md", "page/report.html", "page/report.json"]
    assert all(Path(file).stat().st_size for file in files)  # type: ignore[attr-defined]


def test_bytes_on_standard_input_that_are_not_text_are_named_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"fine\n\xff bad\n")))
    with pytest.raises(DataError, match=r"standard input, line 2: b'\\xff.* is not UTF-8.*iconv"):
        list(_given.read_stdin(None, _given.BadRows(skip=False)))


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
    give(rows)
    assert main(["predict", "teacher"]) == 1
    error = capsys.readouterr().err
    assert "line 1: a JSON object, not a text" in error
    assert "--column NAME. The line has: text, label" in error
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
