"""Speeds of models that were measured side by side: `speeds.json`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

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
    references: dict[str, Speed] = Field(default_factory=dict)
    """The first model's speed in the rounds in which another was measured, by that one's label."""
    models: dict[str, str] = Field(default_factory=dict)
    """A checksum of each model's files, by its label: what has others is measured again."""
