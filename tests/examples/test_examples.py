"""The examples run as they are, on a tiny model and data; the notebook shows its tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with the documents' tiny model, text and data."""
    folder = tmp_path_factory.mktemp("world")
    subprocess.run([sys.executable, ROOT / "tests" / "docs" / "world.py"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(script, world, tmp_path):
    done = subprocess.run(
        [sys.executable, script, "--tiny", str(world)],
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Result '" in done.stdout
    assert any((tmp_path / "runs").iterdir())


def test_the_notebook_runs_and_shows_tables(world, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_EXAMPLES_TINY", str(world))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(EXAMPLES / "faster_model.ipynb", as_version=4)
    context = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=context).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = ["".join(o.get("data", {}).get("text/html", "") for o in c.outputs) for c in cells]
    assert "teacher on text-classification" in shown[2]
    assert "the run&#x27;s folder: runs/finetune-" in shown[2]
    assert "<progress" not in shown[2]  # each bar has given place to its line
    assert "steps in" in shown[2]
    assert "kept (95 % interval)" in shown[4]
    assert "the run" not in shown[4]  # progress=False
    assert "report.html" in shown[6]
    assert (tmp_path / "small-model" / "model.safetensors").exists()


def test_the_list_of_examples_is_complete():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in (*SCRIPTS, *EXAMPLES.glob("*.ipynb")):
        assert f"({path.name})" in text
    notebook = nbformat.read(EXAMPLES / "faster_model.ipynb", as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]
