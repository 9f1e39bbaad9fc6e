"""Moving what is made on the CPU to a device."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Returns a tensor on a device, without waiting for what the device has yet to do.

    A copy from ordinary memory waits for that, `non_blocking` or not; one from pinned memory does
    not. A copy to Apple's GPUs is waited for: its memory may be used again before it was read.

    Source:
        https://github.com/pytorch/pytorch/issues/189690
    """
    kind = torch.device(device).type
    if kind == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.contiguous().pin_memory()  # an expanded one can't be pinned
    return tensor.to(device, non_blocking=kind != "mps")
