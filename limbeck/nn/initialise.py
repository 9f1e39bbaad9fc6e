"""How new weights are drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limbeck.nn.heads import MaskedLMHead


def initialise(module: nn.Module, *, std: float) -> None:
    """Draws a module's weights from torch's global generator, as BERT's were.

    Linear and embedding weights are normal with standard deviation `std`, biases 0, LayerNorms
    the identity, the padding word's row 0.

    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, and its released code
    (`initializer_range`; there the normal is cut at two deviations, in `transformers` it is not).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=std)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=std)
            if part.padding_idx is not None:
                with torch.no_grad():
                    part.weight[part.padding_idx].zero_()
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, MaskedLMHead):
            nn.init.zeros_(part.bias)


def sinusoidal_positions(num_positions: int, hidden_size: int) -> Tensor:
    """Returns fixed position vectors: sines in the even columns, cosines in the odd ones.

    Shape:
        result: (num_positions, hidden_size), float64.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5.
    """
    columns = torch.arange(hidden_size, dtype=torch.float64)
    wavelengths = 10000 ** (2 * (columns // 2) / hidden_size)
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] / wavelengths
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())
