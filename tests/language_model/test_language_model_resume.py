"""Runs of distill that are killed, stopped or repeated: they go on to the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import torch
from tiny_language_runs import run, values

from limbeck import Tokenizer
from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import DataError
from limbeck.recipes import distill, pretrain
from limbeck.train import SilentProgress, read_metrics

SPLIT = CorpusSettings(heldout_ratio=0.2)

DRIVER = """
import json, sys
from pathlib import Path
from limbeck.recipes import distill
from limbeck.train import SilentProgress
try:
    distill.run(distill.SettingsType(**json.loads(sys.argv[1])), progress=SilentProgress())
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def start(settings: dict[str, object]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", DRIVER, json.dumps(settings)], env=environment)


def wait_for_step(out: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(line.step >= step for line in read_metrics(out)):
            return
        time.sleep(0.002)
    raise AssertionError(f"{out} did not reach step {step}")


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "causal_"], ids=["masked", "causal"])
def test_killed_run_ends_with_the_same_bits(
    tmp_path: Path, request: pytest.FixtureRequest, prefix: str
) -> None:
    """Dropout is on, so the random state counts too."""
    corpus_folder, teacher_folder = (
        request.getfixturevalue(f"{prefix}{name}_folder") for name in ("corpus", "teacher")
    )
    whole = values(corpus_folder, teacher_folder, tmp_path / "whole")
    assert start(whole).wait(timeout=300) == 0

    killed = values(corpus_folder, teacher_folder, tmp_path / "killed")
    for step in (7, 23, 41):
        process = start(killed)
        wait_for_step(tmp_path / "killed", step, process)
        process.kill()
        process.wait()
    interrupted = start(killed)
    wait_for_step(tmp_path / "killed", 46, interrupted)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=120) in (130, 0)
    assert start(killed).wait(timeout=300) == 0

    expected = read_safetensors(tmp_path / "whole/model/model.safetensors")
    actual = read_safetensors(tmp_path / "killed/model/model.safetensors")
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, actual[name]), name

    def figures(out: Path) -> list[dict[str, object]]:
        return [
            {k: v for k, v in line.to_dict().items() if k != "elapsed_seconds"}
            for line in read_metrics(out)
        ]

    assert figures(tmp_path / "whole") == figures(tmp_path / "killed")


def test_interrupt_saves_the_step_it_stops_at(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(
        corpus_folder, teacher_folder, tmp_path / "run", max_steps=100_000, save_every=100_000
    )
    process = start(settings)
    wait_for_step(tmp_path / "run", 3, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    (checkpoint,) = (tmp_path / "run/checkpoints").glob("step-*")
    record = json.loads((checkpoint / "state.json").read_text())
    assert record["step"] == max(line.step for line in read_metrics(tmp_path / "run"))
    assert not (tmp_path / "run/result.json").exists()


def test_finished_run_is_not_repeated(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(corpus_folder, teacher_folder, tmp_path / "run", max_steps=4)
    first = run(distill, **settings)
    lines = read_metrics(tmp_path / "run")
    assert run(distill, **settings) == first
    assert read_metrics(tmp_path / "run") == lines


def test_half_precision_goes_on_with_its_loss_scale(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = values(
        corpus_folder, teacher_folder, tmp_path / "run", precision="fp16", max_steps=6, save_every=3
    )
    run(distill, **settings)
    expected = read_safetensors(tmp_path / "run/model/model.safetensors")
    # As if the run had been stopped after its third step.
    (tmp_path / "run/result.json").unlink()
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000006")
    record = json.loads((tmp_path / "run/checkpoints/step-00000003/state.json").read_text())
    assert record["loss_scale"]["scale"] < 65536, "the scale has been lowered, so it must be kept"
    run(distill, **settings)
    actual = read_safetensors(tmp_path / "run/model/model.safetensors")
    assert all(torch.equal(tensor, actual[name]) for name, tensor in expected.items())


def damp(weights: Path) -> dict[str, torch.Tensor]:
    """Writes other weights of the same shapes, and returns those that were there."""
    before = read_safetensors(weights)
    write_safetensors(weights, {name: tensor / 2 for name, tensor in before.items()})
    return before


def test_a_run_does_not_go_on_with_another_teacher_or_corpus(
    tmp_path: Path,
    text: Path,
    tokenizer: Tokenizer,
    teacher_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher, corpus = tmp_path / "teacher", tmp_path / "corpus"
    shutil.copytree(teacher_folder, teacher)
    source = shutil.copy(text, tmp_path / "text.txt")
    build_corpus([source], tokenizer=tokenizer, out=corpus, settings=SPLIT)
    settings = values(corpus, teacher, tmp_path / "run", max_steps=4)
    first = run(distill, **settings)
    before = damp(teacher / "model.safetensors")
    changed = r" already holds a 'distill' run, and {} = \"{}\" has changed since it was begun"
    with pytest.raises(DataError, match=changed.format("teacher", teacher)):
        run(distill, **settings)
    write_safetensors(teacher / "model.safetensors", before)
    (teacher / "README.md").write_text("What the model was made for.")
    (tmp_path / "run").rename(tmp_path / "moved")
    corpus.rename(tmp_path / "corpora")
    build_corpus([source], tokenizer=tokenizer, out=corpus, settings=SPLIT)  # the same
    settings["out"] = tmp_path / "moved"
    assert run(distill, **settings).held_out_after == first.held_out_after
    monkeypatch.chdir(tmp_path / "moved")
    assert run(distill, **{**settings, "corpus": "../corpora", "out": "."}).model == "model"
    assert run(distill, **settings).model == str(tmp_path / "moved/model")
    shutil.rmtree(corpus)
    (tmp_path / "text.txt").write_text(text.read_text() + "\n\none more")
    build_corpus([source], tokenizer=tokenizer, out=corpus, settings=SPLIT)
    with pytest.raises(DataError, match=changed.format("corpus", corpus)):
        run(distill, **settings)


class StoppingProgress(SilentProgress):
    """Asks for a stop after some steps, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    @contextmanager
    def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[Self]:
        yield self

    def advance(self, amount: float = 1) -> None:
        pass

    def update(self, **fields: float) -> None:
        if fields.get("step") == self.step:
            signal.raise_signal(signal.SIGINT)


def test_a_head_that_is_fitted_alone_ends_with_the_same_bits(
    tmp_path: Path, corpus_folder: Path, teacher_folder: Path
) -> None:
    settings = {
        "model": str(teacher_folder),
        "corpus": str(corpus_folder),
        "sequence_length": 16,
        "batch_size": 8,
        "max_steps": 6,
        "new_head": True,
        "freeze_body": True,
    }
    run(pretrain, **settings, out=tmp_path / "whole")
    stopped = pretrain.SettingsType.from_values({**settings, "out": tmp_path / "stopped"})
    with pytest.raises(KeyboardInterrupt):
        pretrain.run(stopped, progress=StoppingProgress(3))
    pretrain.run(stopped, progress=SilentProgress())
    expected, actual = (
        read_safetensors(tmp_path / name / "model/model.safetensors")
        for name in ("whole", "stopped")
    )
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
