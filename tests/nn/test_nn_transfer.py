"""Moving tensors to a device: who waits for the copy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.nn import to_device


class _Copies(TorchDispatchMode):
    """Notes of each copy to a device whether nobody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.non_blocking: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            self.non_blocking.append(kwargs.get("non_blocking", False))
        return func(*args, **kwargs)


NEEDS_APPLE = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs MPS")


@pytest.mark.parametrize("device", [pytest.param("mps", marks=NEEDS_APPLE), torch.device("meta")])
def test_a_copy_to_apples_gpus_is_waited_for(device: Any) -> None:
    """Memory of a batch is used again as soon as it is let go of, on Apple's GPUs too early."""
    with _Copies() as copies:
        to_device(torch.ones(3).expand(2, 3), device)
    assert copies.non_blocking == [device != "mps"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_an_expanded_tensor_gets_to_cuda() -> None:
    with _Copies() as copies:
        moved = to_device(torch.ones(3).expand(2, 3), "cuda")
    assert moved.cpu().tolist() == [[1.0] * 3] * 2
    assert copies.non_blocking == [True]
