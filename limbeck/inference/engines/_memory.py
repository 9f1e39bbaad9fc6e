"""Gives back to the system what reading a model took and no longer needs."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def give_back_memory() -> None:
    """Returns freed memory that the C library keeps for itself; nothing where it has no such call.

    A runtime parses a file, copies its weights and lays them out anew; what it then frees stays the
    process's. Of an ONNX file in int8 that is a quarter of its size (docs/log.md).
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # glibc alone has it
            ctypes.CDLL(None).malloc_trim(0)
