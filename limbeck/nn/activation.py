"""Activations under the names that Hugging Face configurations use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limbeck.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "gelu": ("GELU", {}),
    "gelu_new": ("GELU", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("GELU", {"approximate": "tanh"}),
    "relu": ("ReLU", {}),
    "silu": ("SiLU", {}),
    "swish": ("SiLU", {}),
    "tanh": ("Tanh", {}),
}
"""A class of `torch.nn` and its arguments each: configurations know the names without torch."""


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
    from torch import nn

    class_name, arguments = ACTIVATIONS[name]
    module: nn.Module = getattr(nn, class_name)(**arguments)
    return module
