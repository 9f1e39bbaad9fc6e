"""Which weights of a model methods prune."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from limbeck.models import Model


def list_linears(model: Model) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yields what holds each linear layer, its name there, and the layer."""
    for parent in model.encoder.layers.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                yield parent, name, child
