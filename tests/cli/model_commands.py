"""What tests of commands that need models share: a text, and what a command printed as JSON."""

from __future__ import annotations

import json

import pytest

TEXTS = [
    "the still divides what rises first from what rises later",
    "what is left in the pot is thrown away",
    "nobody could say when the mill had last turned",
    "everybody knew who owned the water",
] * 40

Captured = pytest.CaptureFixture[str]


def read_json(capsys: Captured) -> dict[str, object]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value
