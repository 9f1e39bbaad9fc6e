"""A figure of a result that is known within an interval."""

from __future__ import annotations

from limbeck.files.typed import Part


class Estimate(Part):
    """A figure with its 95 % interval."""

    value: float
    """The figure."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end."""
