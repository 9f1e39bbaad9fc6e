"""A task that a tiny model can learn, written once; a test that changes data writes its own."""

from __future__ import annotations

import pytest
from tiny_task import write_data, write_model


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "task")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "encoder")
