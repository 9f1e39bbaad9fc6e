"""What a few models took on this machine, from which the others' costs are told: `costs.json`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from limbeck.files.typed import Part, TypedFile
from limbeck.inference.footprint import Footprint
from limbeck.runs.run import Hardware


class Probe(Part):
    """A model in one format, timed with weights that are not trained yet."""

    source: str
    """The student, or the model itself."""
    target: str
    """The format; `torch` for none."""
    file_bytes: int
    """Size of the files that are run."""
    latencies_ms: dict[int, float]
    """Median milliseconds for one text, tokenisation included, by its tokens."""
    noise: float
    """Half of what the quartiles over the rounds are apart, over the median; the largest."""
    loaded_bytes: int | None
    """By how much a process grew that loaded it; None if that was not measured."""


class CostsRecord(TypedFile):
    """What was measured, and on which machine."""

    FILE_NAME: ClassVar[str] = "costs.json"
    REMEDY: ClassVar[str] = "remove it to measure again"

    machine: Hardware
    """The machine, whose costs these are."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of what runs the models."""
    load: float | None = None
    """Programs that wanted to run while it was measured, over the cores that there are; None where
    the system does not say."""
    probes: tuple[Probe, ...]
    """All models and formats."""
    failed: dict[str, str] = Field(default_factory=dict)
    """Why a model could not be timed in a format, by the format's name; nothing of it is known."""


class FootprintsRecord(TypedFile):
    """What loaded models take, and on which machine."""

    FILE_NAME: ClassVar[str] = "footprints.json"
    REMEDY: ClassVar[str] = "remove it to measure again"

    machine: Hardware
    """The machine."""
    footprints: dict[str, Footprint]
    """By the model's label."""
