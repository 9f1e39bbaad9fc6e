"""Whether this machine can do what a run's settings ask for, before the run begins a folder."""

from __future__ import annotations

import os
import shutil
import sys

import torch

from limbeck.errors import SettingsError, find_extra
from limbeck.recipes._settings import PlaceSettings, TrainingSettings
from limbeck.train import autocast, choose_device

_COMPILERS = {"darwin": "clang++", "win32": "cl"}
"""What `torch.compile` calls on a CPU unless CXX names another; g++ elsewhere."""


def require_machine(settings: PlaceSettings) -> torch.device:
    """Returns the device of a run, having tried its arithmetic there.

    Raises:
        SettingsError: If the device can't be used, does not do this arithmetic, or has no compiler
            and one is needed.
        MissingExtraError: If TensorBoard files are asked for and it is not installed.
    """
    device = choose_device(settings.device)
    try:
        with autocast(device, settings.precision):
            ones = torch.ones(2, 2, device=device)
            float((ones @ ones).sum())
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"device = '{settings.device}' can't compute with precision = '{settings.precision}': "
            f"{reason}. Accepted: precision = 'fp32', or another device, such as auto or cpu"
        ) from None
    if isinstance(settings, TrainingSettings) and settings.tensorboard:
        find_extra("tensorboard", extra="tensorboard", purpose="tensorboard = true")
    if getattr(settings, "compile", False) and device.type == "cpu":
        _require_compiler()
    return device


def _require_compiler() -> None:
    compiler = os.environ.get("CXX") or _COMPILERS.get(sys.platform, "g++")
    if shutil.which(compiler) is None:
        raise SettingsError(
            f"compile = true needs a C++ compiler on a CPU, and there is no '{compiler}'; install "
            "one, set CXX to the one there is, or leave compile out"
        )
