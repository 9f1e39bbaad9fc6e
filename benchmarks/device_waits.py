"""How often a training step waits for the device, operation by operation.

    python benchmarks/device_waits.py                  # all that is below
    python benchmarks/device_waits.py --micro-batches 4

While the host waits it queues no work, and the device has none once it is done. On CUDA the waits
are those that torch's own sync debug mode reports, with the line that made them. Elsewhere a step
runs on the CPU with the batch copied to `cpu:0`, and those operations are counted that would wait
for a device: what reads a number of what was computed from the weights or the copied batch, or has
as many results as it finds.
"""

from __future__ import annotations

import argparse
import json
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limbeck import BertConfig, BertForMaskedLM
from limbeck.config import read_settings
from limbeck.data import MaskedBatch
from limbeck.losses import Loss
from limbeck.methods import apply_methods
from limbeck.objectives import TextObjective
from limbeck.recipes import distill
from limbeck.recipes._presets import list_presets
from limbeck.train import Budget, Schedule, build_adamw, train_steps

_COPIED = torch.device("cpu", 0)  # not equal to `cpu`, so that a copy is made, and is seen
_READING = {"item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__"}
_READING |= {"new_tensor"}  # which copies to the device, and waits for that
_FINDING = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}


class WaitCounter(TorchDispatchMode):
    """Counts what would wait for a device, were the weights and the copied batches on one.

    Args:
        on_device: Tensors that would be there: the models' weights.

    Attributes:
        waits: How often, by operation and line of the package.
    """

    def __init__(self, on_device: Iterable[Tensor]) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        # Kept, so that no address is given to another tensor while we count.
        self._storages: dict[int, Any] = {}
        for tensor in on_device:
            self._add(tensor)
        self._reads = _Reads(self)

    def is_on_device(self, value: object) -> bool:
        """Returns whether a value would be on the device."""
        return isinstance(value, Tensor) and value.untyped_storage()._cdata in self._storages

    def note(self, operation: str) -> None:
        """Counts one wait."""
        lines = [f for f in traceback.extract_stack() if "/limbeck/" in f.filename]
        where = f" in {lines[-1].filename.rpartition('/')[2]}:{lines[-1].lineno}" if lines else ""
        self.waits[operation + where] += 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        moved = kwargs.get("device") == _COPIED
        name = func.overloadpacket.__name__
        if moved and name == "_to_copy" and not kwargs.get("non_blocking"):
            self.note("copy")
        if any(map(self.is_on_device, given)):
            picks_by_truth = name in ("index", "index_put", "index_put_") and any(
                isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8)
                for x in tree_leaves(args[1])
            )
            if name in _FINDING or picks_by_truth:
                self.note(name)
            moved = True
        result = func(*args, **kwargs)
        if moved:
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    self._add(tensor)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage

    def __enter__(self) -> WaitCounter:
        super().__enter__()
        self._reads.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._reads.__exit__(*exception)
        super().__exit__(*exception)


class _Reads(TorchFunctionMode):
    """Sees what reads numbers without being dispatched, such as `tolist`."""

    def __init__(self, counter: WaitCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _READING and args and self._counter.is_on_device(args[0]):
            self._counter.note(name.strip("_"))
        return func(*args, **(kwargs or {}))


@contextmanager
def cuda_waits(waits: Counter[str]) -> Iterator[None]:
    """Counts what torch's sync debug mode warns of, by line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for warning in caught:
        if "synchronizing" in str(warning.message):
            waits[f"{warning.filename.rpartition('/')[2]}:{warning.lineno}"] += 1


def count_step_waits(
    objective: nn.Module, batches: Sequence[Any], *, others: Iterable[nn.Module] = ()
) -> Counter[str]:
    """Returns the waits of one step over some micro-batches, after one that warms up.

    Args:
        objective: What is trained.
        batches: The micro-batches, on the CPU.
        others: Models that run beside it, such as a teacher.
    """
    device = torch.device("cuda") if torch.cuda.is_available() else _COPIED
    modules = [objective, *others]
    for module in modules:
        module.to(device)
    steps = train_steps(
        objective,
        [batches] * 2,
        optimizer=build_adamw([objective], learning_rate=1e-4),
        schedule=Schedule(),
        budget=Budget(max_steps=2),
        device=device,
        max_grad_norm=1.0,
    )
    next(steps)
    waits: Counter[str] = Counter()
    if device.type == "cuda":
        with cuda_waits(waits):
            next(steps)
        return waits
    weights = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    with WaitCounter(weights) as counter:
        next(steps)
    return counter.waits


def make_batch(*, rows: int, length: int, vocab_size: int, confined: bool) -> MaskedBatch:
    """Returns random rows with 15 % of the tokens masked, of two documents each if confined."""
    ids = torch.randint(5, vocab_size, (rows, length))
    labels = torch.where(torch.rand(ids.shape) < 0.15, ids, -100)
    labels[:, 0] = ids[:, 0]  # at least one in each row
    documents = (torch.arange(length) >= length // 2).long().expand(rows, length)
    return MaskedBatch(ids, labels, document_ids=documents if confined else None)


def count_distill_waits(
    losses: dict[str, Loss], *, micro_batches: int, confined: bool, size: int = 16
) -> Counter[str]:
    """Returns the waits of one step of distill."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=size,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=2 * size,
        max_position_embeddings=32,
    )
    teacher = BertForMaskedLM(config).eval().requires_grad_(requires_grad=False)
    start = {"method": "keep_layers", "layers": "every_other", "model_type": "distilbert"}
    student = apply_methods(teacher, [start]).train().requires_grad_(requires_grad=True)
    objective = TextObjective(student, losses, teacher=teacher, chunk_rows=32)
    batch = make_batch(rows=4 * micro_batches, length=32, vocab_size=64, confined=confined)
    return count_step_waits(objective, batch.split(micro_batches), others=[teacher])


def preset_losses(name: str) -> dict[str, Loss]:
    """Returns the losses of a preset of distill."""
    given = ["teacher=t", "corpus=c", "out=o"]
    settings = read_settings(distill.SettingsType, list_presets()[name].path, given)
    return dict(settings.losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micro-batches", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    for preset in ("distilbert", "distilbert-original"):
        for confined in (False, True):
            for micro_batches in options.micro_batches:
                waits = count_distill_waits(
                    preset_losses(preset), micro_batches=micro_batches, confined=confined
                )
                print(
                    json.dumps(
                        {
                            "preset": preset,
                            "confine_attention": confined,
                            "micro_batches": micro_batches,
                            "device": "cuda" if torch.cuda.is_available() else "cpu:0",
                            "waits": waits.total(),
                            "by_operation": dict(waits.most_common()),
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
