"""What ran a model of a family that Limbeck does not have."""

from __future__ import annotations

from limbeck.files.typed import Part


class Adapter(Part):
    """The library that ran a model."""

    name: str
    """Name of the library."""
    version: str
    """Its version."""
    model_class: str
    """The model's class there."""
