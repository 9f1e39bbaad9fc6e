"""Precisions and threads of torch, under the names that all engines have for them."""

from __future__ import annotations

import torch

from limbeck.errors import SettingsError, did_you_mean

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def find_dtype(precision: str | None) -> torch.dtype:
    """Returns torch's type of a precision, float32 where none is asked for.

    Raises:
        SettingsError: If torch does not run models in it.
    """
    if precision is None:
        return torch.float32
    if precision not in _DTYPES:
        advice = ""
        if precision in ("int8", "int4", "int2"):
            advice = (
                f" For {precision}, export the model: limbeck export MODEL --to onnx-{precision}"
            )
        raise SettingsError(
            f"precision = '{precision}': torch runs models in {', '.join(_DTYPES)}."
            + (advice or did_you_mean(precision, _DTYPES))
        )
    return _DTYPES[precision]


def name_precision(dtype: torch.dtype) -> str:
    """Returns the precision of one of torch's types."""
    named = {of: name for name, of in _DTYPES.items()}
    return named.get(dtype, str(dtype).removeprefix("torch."))


def set_threads(num_threads: int | None) -> None:
    """Has torch use so many threads of the CPU, in the whole process; None leaves it as it is."""
    if num_threads is not None:
        torch.set_num_threads(num_threads)
