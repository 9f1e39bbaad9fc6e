"""Losses as pure tensor code; each public module is one, and its name is its name in settings.

A loss sees rows: positions of a batch, flattened. It says what it needs of both models and over
which positions it runs, and returns a sum; whoever adds the sums up divides by the count.
"""

from limbeck.losses._base import Loss, Needs, Positions, Rows, build_loss
from limbeck.losses._chunked import sum_over_chunks
from limbeck.losses._layers import LayerLoss

__all__ = ["LayerLoss", "Loss", "Needs", "Positions", "Rows", "build_loss", "sum_over_chunks"]
