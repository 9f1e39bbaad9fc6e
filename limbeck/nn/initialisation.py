"""How new weights are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError, with_article
from limbeck.nn.embeddings import FactorisedEmbedding


@runtime_checkable
class DrawsItself(Protocol):
    """A module that knows best how its own parameters and buffers start."""

    def draw(self, *, std: float) -> None:
        """Sets what the module itself holds; the modules inside it are drawn on their own."""


def initialise(module: nn.Module, *, std: float, cut: float | None = None) -> None:
    """Draws a module's weights from torch's global generator, as BERT's were.

    Linear and embedding weights are normal with standard deviation `std`, cut at `cut` deviations
    if that is given, biases 0, LayerNorms the identity, the padding word's row 0. A module with
    parameters of another kind says with a method `draw(std=...)` how they start: weights that
    nobody set would be whatever the memory held before.

    Raises:
        SettingsError: If a module holds parameters or buffers that nobody knows how to draw.

    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, and its released code
    (`initializer_range`; there the normal is cut at two deviations, in `transformers` it is not).
    """
    for path, part in module.named_modules():
        draw = _DRAWN.get(type(part))
        if draw is not None:
            draw(part, _Normal(std=std, cut=cut))
        elif isinstance(part, DrawsItself):
            part.draw(std=std)
        elif held := [name for name, _ in _held_by(part)]:
            raise SettingsError(
                f"{path or 'the module'} is {with_article(type(part).__name__)} and holds "
                f"{', '.join(held)}, which nn.initialise does not know how to draw; accepted: "
                f"{', '.join(sorted(known.__name__ for known in _DRAWN))}, or a module with a "
                "method draw(std=...)."
            )


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


def _held_by(part: nn.Module) -> list[tuple[str, Tensor]]:
    """Returns what a module holds itself, without the modules inside it."""
    return [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]


class _Normal(NamedTuple):
    """What weights are drawn from."""

    std: float
    cut: float | None

    def draw(self, weight: Tensor) -> None:
        if self.cut is None:
            nn.init.normal_(weight, std=self.std)
        else:
            end = self.cut * self.std
            nn.init.trunc_normal_(weight, std=self.std, a=-end, b=end)


def _draw_linear(linear: nn.Linear, normal: _Normal) -> None:
    normal.draw(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _draw_embedding(embedding: nn.Embedding, normal: _Normal) -> None:
    normal.draw(embedding.weight)
    if embedding.padding_idx is not None:
        with torch.no_grad():
            embedding.weight[embedding.padding_idx].zero_()


def _draw_layer_norm(norm: nn.LayerNorm, _normal: _Normal) -> None:
    # Without `elementwise_affine` it has no weight, without `bias` no bias.
    if norm.weight is not None:
        nn.init.ones_(norm.weight)
    if norm.bias is not None:
        nn.init.zeros_(norm.bias)


# By the exact type: a subclass may hold more than its parent, and would keep that undrawn.
_DRAWN: Mapping[type[nn.Module], Callable[[Any, _Normal], None]] = {
    nn.Linear: _draw_linear,
    nn.Embedding: _draw_embedding,
    FactorisedEmbedding: _draw_embedding,
    nn.LayerNorm: _draw_layer_norm,
}
