"""Evaluation mode for a while, and then each part of a model in the mode that it was in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation(*models: nn.Module) -> Iterator[None]:
    """Puts models in evaluation mode within a `with`, and each part back in the mode it was in.

    `model.train(was_training)` would give every part the mode of the root, and so wake the dropout
    of a frozen body below a head that is trained.
    """
    trained = [part for model in models for part in model.modules() if part.training]
    for part in trained:
        part.training = False
    try:
        yield
    finally:
        for part in trained:
            part.training = True
