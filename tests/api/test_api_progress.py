"""Where calls report: on a terminal and in a notebook by themselves, in a script if asked."""

import os
import pty
import subprocess
import sys

import pytest
from tiny_rows import FAST, TRAIN, VALIDATION

from limbeck.api._progress import choose_progress
from limbeck.terminal import BarProgress, PlainProgress
from limbeck.train import SilentProgress

SCRIPT = """
import json, sys
import limbeck
encoder, train, validation, settings = json.loads(sys.argv[1])
print(limbeck.finetune(encoder, train, validation, max_steps=2, **settings))
"""


def call(*arguments, **streams):
    import json

    command = [sys.executable, "-c", SCRIPT, json.dumps(arguments)]
    return subprocess.run(command, text=True, check=True, timeout=120, **streams)


def test_a_script_says_nothing_unless_asked(encoder, tmp_path):
    done = call(encoder, TRAIN, VALIDATION, FAST, cwd=tmp_path, capture_output=True)
    assert done.stderr == ""
    assert done.stdout.startswith("<FinetuneResult 'runs/finetune-")
    asked = {**FAST, "progress": True}
    done = call(encoder, TRAIN, VALIDATION, asked, cwd=tmp_path, capture_output=True)
    assert "task = text_classification (text_column = text, label_column = label" in done.stderr
    assert "the run's folder: runs/finetune-" in done.stderr
    assert "seed 0: 2 steps" in done.stderr


def test_a_terminal_shows_progress(encoder, tmp_path):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        call(
            encoder, TRAIN, VALIDATION, FAST, cwd=tmp_path, stderr=terminal,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "seed 0: 2 steps" in shown


def test_what_may_be_given(monkeypatch):
    own = SilentProgress()
    assert choose_progress(own) is own
    assert isinstance(choose_progress(False), SilentProgress)
    assert isinstance(choose_progress(None), SilentProgress)
    assert isinstance(choose_progress(True), PlainProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(choose_progress(None), BarProgress)


@pytest.mark.parametrize("given", [True, None])
def test_in_a_notebook(given):
    code = f"""
import IPython
IPython.get_ipython = lambda: type("Shell", (), {{"kernel": object()}})()
from limbeck.api._progress import choose_progress
print(type(choose_progress({given})).__name__, type(choose_progress(False)).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["NotebookProgress", "SilentProgress"]
