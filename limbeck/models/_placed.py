"""What every model says of its weights."""

from __future__ import annotations

import torch
from torch import nn


class PlacedModule(nn.Module):
    """A module with weights, all in one place and of one type."""

    @property
    def num_parameters(self) -> int:
        """How many numbers there are to train, its parts included; a tied weight counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype
