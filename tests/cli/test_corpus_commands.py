"""`corpus` and the training on what it builds, on tiny real models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_commands import Captured, read_json

from limbeck.cli import main

pytestmark = pytest.mark.usefixtures("inside")


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
    assert "building the corpus: 7.8 kB in" in err
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
