"""`bench` on tiny real models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from model_commands import Captured, read_json

from limbeck.cli import main

pytestmark = pytest.mark.usefixtures("inside")


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


def test_bench_leaves_out_what_an_engine_does_not_run(capsys: Captured) -> None:
    export = ["export", "teacher", "--to", "onnx", "--out", "exported", "--measure", "false"]
    assert main([*export, "--quiet"]) == 0
    capsys.readouterr()
    measure = ["bench", "teacher", "exported/model", "--engine", "torch,onnxruntime"]
    measure += ["--device", "cpu"]
    fast = ["--repeats", "1", "--batch-size", "2", "--no-memory", "--out", "pairs"]
    assert main([*measure, *fast, "--json"]) == 0
    result = read_json(capsys)
    assert list(result["models"]) == ["teacher torch", "exported onnxruntime"]  # type: ignore[call-overload]
    left_out = result["left_out"]
    assert set(left_out) == {"teacher onnxruntime", "exported torch"}  # type: ignore[call-overload]
    assert "Left out: exported torch" in Path("pairs/bench.md").read_text(encoding="utf-8")
    assert main([*measure, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["teacher torch: teacher", "exported onnxruntime: exported/model"]
    assert lines[2].startswith("left out teacher onnxruntime: ")
    assert main(["bench", "teacher", "--engine", "onnxruntime,openvino", "--device", "cpu"]) == 1
    assert "teacher has nothing that onnxruntime runs" in capsys.readouterr().err
    assert main([*measure[:3], "--engine", "torch,torsh"]) == 2
    assert "no 'torsh' among the engines" in capsys.readouterr().err


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
    ],
)
def test_wrong_arguments(command: list[str], expected: str, capsys: Captured) -> None:
    Path("empty.txt").write_text("\n \n")
    assert main(command) == 2
    assert expected in capsys.readouterr().err
