"""Speeds of models that were measured side by side: `speeds.json`."""

from __future__ import annotations

from typing import ClassVar

from limbeck.files.typed import TypedFile
from limbeck.inference.speed import Speed
from limbeck.runs.run import Hardware


class SpeedsRecord(TypedFile):
    """What was measured, and on which machine."""

    FILE_NAME: ClassVar[str] = "speeds.json"
    REMEDY: ClassVar[str] = "remove it to measure again"

    machine: Hardware
    """The machine, whose speeds these are."""
    speeds: dict[str, Speed]
    """By the model's label."""
