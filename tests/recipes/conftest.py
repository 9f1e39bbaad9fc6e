"""A task that a tiny model can learn, and runs on it that several files look at, made once.

A test that changes data writes its own.
"""

from __future__ import annotations

import pytest
import tiny_compress
import tiny_suite
from tiny_task import Lines, finetune, write_data, write_model

from limbeck.recipes import compress, suite
from limbeck.train import SilentProgress


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "task")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="session")
def deep_teacher(data, tmp_path_factory):
    """A fine-tuned model of three layers that has learned the task."""
    base = tmp_path_factory.mktemp("teacher")
    model = write_model(base / "encoder", num_hidden_layers=3)
    result = finetune(model, data, base / "run", epochs=6)
    assert result.seeds[0].validation["accuracy"] >= 0.9
    return str(base / "run/model")


@pytest.fixture(scope="session")
def finished_compression(deep_teacher, data, tmp_path_factory):
    """Settings and result."""
    out = tmp_path_factory.mktemp("compress") / "run"
    settings = tiny_compress.make_settings(
        deep_teacher, data, out, retain=0.8, seeds=(0, 1), epochs=4
    )
    return settings, compress.run(settings, progress=SilentProgress())


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    """An encoder and a folder with a subfolder for each of two tasks."""
    folder = tmp_path_factory.mktemp("suite")
    write_model(folder / "encoder")
    for name, size in (("SST-2", 48), ("polarity", 40)):
        write_data(folder / "data" / name, train=size, validation=60, test=0)
    return folder


@pytest.fixture(scope="session")
def finished_suite(ground, tmp_path_factory):
    """The folder, the result and the lines that were logged."""
    out = tmp_path_factory.mktemp("finished") / "run"
    progress = Lines()
    result = suite.run(tiny_suite.make_settings(ground, out), progress=progress)
    return out, result, progress.lines
