"""What a model takes is measured in a process of its own, and what goes wrong there is told."""

import pytest
from pipeline_models import write_model

from limbeck.errors import LimbeckError
from limbeck.inference import footprint
from limbeck.inference.footprint import measure_footprint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def test_files_and_memory(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not the library')")
    found = measure_footprint(folder, name="torch", device="cpu")
    assert found.file_bytes == (folder / "model.safetensors").stat().st_size
    assert found.peak_bytes is None or found.peak_bytes > found.file_bytes


def test_what_takes_too_long_says_how_to_leave_it_out(folder, monkeypatch):
    monkeypatch.setattr(footprint, "_SECONDS", 0.01)
    with pytest.raises(LimbeckError, match=r"more than 0\.01 s to load.*--no-memory"):
        measure_footprint(folder, name="torch")
