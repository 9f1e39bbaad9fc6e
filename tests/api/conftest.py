"""A tiny encoder, and one fine-tuned from rows in memory."""

import pytest
from tiny_rows import FAST, TEST, TRAIN, VALIDATION
from tiny_task import write_model

import limbeck


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("encoder") / "model")


@pytest.fixture(scope="session")
def teacher(encoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "run"
    return limbeck.finetune(
        encoder, TRAIN, VALIDATION, TEST, epochs=8, out=out, role="teacher", **FAST
    )
