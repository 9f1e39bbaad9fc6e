"""Rotary positions: queries and keys turned by where they stand, so that scores see distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limbeck.nn.precision import at_least_float32


class Turn(NamedTuple):
    """How far each position turns each pair of a head's numbers.

    Shape:
        cos, sin: (batch or 1, 1, sequence, head_size / 2), in float32 at least.
    """

    cos: Tensor
    sin: Tensor


class RotaryPositions(nn.Module):
    """Turns of all positions, for each base of wavelengths that some layer has.

    Args:
        head_size: Width of a head, an even number.
        bases: Each the longest wavelength over 2 pi; a `Rotation` says which it takes.

    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864, section 3.2.2.
    """

    def __init__(self, head_size: int, *, bases: Sequence[float]) -> None:
        super().__init__()
        self.head_size = head_size
        self.bases = tuple(bases)

    def forward(self, hidden: Tensor, position_ids: Tensor | None = None) -> tuple[Turn, ...]:
        """Returns the turns of each base.

        Shape:
            hidden: (batch, sequence, hidden_size); only its length and type count.
            position_ids: (batch, sequence) or (1, sequence); 0, 1, 2, ... if absent.
        """
        if position_ids is None:
            position_ids = torch.arange(hidden.shape[1], device=hidden.device)[None]
        dtype = at_least_float32(hidden).dtype
        places = position_ids.to(dtype)[:, None, :, None]
        steps = torch.arange(0, self.head_size, 2, device=hidden.device).to(dtype)
        angles = [places * (1.0 / base ** (steps / self.head_size)) for base in self.bases]
        return tuple(Turn(cos=angle.cos(), sin=angle.sin()) for angle in angles)


class Rotation(nn.Module):
    """Turns a layer's queries or keys.

    A number and the one half a head further make a pair, as in the released models.

    Args:
        base: Which base's turns, by its place among those of `RotaryPositions`.

    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864, equation 34.
    """

    def __init__(self, *, base: int) -> None:
        super().__init__()
        self.base = base

    def forward(self, projected: Tensor, turns: Sequence[Turn]) -> Tensor:
        """Shape: (batch, heads, sequence, head_size), the same as the result."""
        cos, sin = turns[self.base]
        first, second = at_least_float32(projected).chunk(2, dim=-1)
        turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
        return turned.to(projected.dtype)
