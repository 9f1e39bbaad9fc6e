"""Losses between a student and a teacher; each public module is one, under its name in settings.

A loss is settings that build a module for two models. The module sees named views of what both
models give, those that the loss lists under `needs`, and returns a sum over rows; whoever adds the
sums up divides by the count.
"""

from limbeck.losses._base import (
    LayerPairs,
    Loss,
    PlainLoss,
    Positions,
    build_loss,
    require_fit,
    require_same_width,
)
from limbeck.losses._chunked import sum_over_chunks
from limbeck.losses._layers import LayerLoss
from limbeck.losses._pooled import EMBEDDINGS, GroupLoss, VectorLoss
from limbeck.losses._views import Compared, View, Views

__all__ = [
    "EMBEDDINGS",
    "Compared",
    "GroupLoss",
    "LayerLoss",
    "LayerPairs",
    "Loss",
    "PlainLoss",
    "Positions",
    "VectorLoss",
    "View",
    "Views",
    "build_loss",
    "require_fit",
    "require_same_width",
    "sum_over_chunks",
]
