"""`finetune`, `evaluate` and the `report` of them, on tiny real models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_commands import TEXTS, Captured, read_json

from limbeck.cli import main

pytestmark = pytest.mark.usefixtures("inside")


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


def test_a_report_of_nothing(capsys: Captured) -> None:
    assert main(["report", "--out", "x"]) == 2
    assert "no run given; accepted: one or more folders of finetune" in capsys.readouterr().err
