"""Activations under the names that Hugging Face configurations use."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from limbeck.errors import SettingsError, did_you_mean

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_new": lambda: nn.GELU(approximate="tanh"),
    "gelu_pytorch_tanh": lambda: nn.GELU(approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}


def build_activation(name: str) -> nn.Module:
    """Returns a new activation module; `gelu` is the exact (erf) form.

    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415.

    Raises:
        SettingsError: If there is no activation of this name; the message lists those there are.
    """
    if name not in ACTIVATIONS:
        raise SettingsError(
            f"there is no activation '{name}'; accepted: {', '.join(ACTIVATIONS)}."
            + did_you_mean(name, ACTIVATIONS)
        )
    return ACTIVATIONS[name]()
