"""The training loop as a generator: the recipe's `for` body is the callback system."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from typing import Any, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError, TrainingError
from limbeck.train.budget import Budget
from limbeck.train.optimizer import OWN_RATE
from limbeck.train.ranks import Ranks
from limbeck.train.schedule import Schedule

Precision = Literal["fp32", "bf16", "fp16"]


class Batch(Protocol):
    """What the loop needs to know of a micro-batch, whose tensors are on the CPU."""

    @property
    def num_tokens(self) -> int:
        """Number of real tokens, for the throughput."""


class Prepared(Protocol):
    """A micro-batch of which an objective has looked up what needs the CPU."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Per term, how many items it averages over."""

    def to(self, device: torch.device) -> Self:
        """Returns the same with its tensors on `device`, without waiting for that."""


BatchT = TypeVar("BatchT", bound=Batch)
BatchT_contra = TypeVar("BatchT_contra", bound=Batch, contravariant=True)
PreparedT = TypeVar("PreparedT", bound=Prepared)


class Objective(Protocol[BatchT_contra, PreparedT]):
    """A loss as sums and counts, so that splitting a step into micro-batches changes nothing."""

    def prepare(self, batch: BatchT_contra) -> PreparedT:
        """Counts, and looks up all else that depends on numbers of a batch on the CPU."""

    def __call__(
        self, prepared: PreparedT, counts: Mapping[str, int]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Returns this micro-batch's share of the step's loss, and of each term (detached).

        No number may be read from the device, since that waits for all that it has yet to do.

        Args:
            prepared: The micro-batch, on the device.
            counts: Per term, the count over all micro-batches of the step, those of other
                processes included.
        """


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimiser step that has been made.

    Attributes:
        number: Steps made so far, this one included.
        loss: The step's loss, before the update.
        terms: The unweighted value of each term of the loss.
        learning_rate: Of the topmost parameters.
        grad_norm: Euclidean norm of all gradients, before clipping.
        num_tokens: Real tokens in the step's batches.
        elapsed_seconds: Training time so far, that before a resume included.
        loss_scale: State of the loss scale after the step; empty but for fp16.
    """

    number: int
    loss: float
    terms: dict[str, float]
    learning_rate: float
    grad_norm: float
    num_tokens: int
    elapsed_seconds: float
    loss_scale: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Where a run stands.

    Attributes:
        step: Optimiser steps made.
        elapsed_seconds: Training time so far.
        loss_scale: State of the loss scale; empty but for fp16.
        extra: What the recipe keeps beside the weights; plain JSON.
        num_metrics: Lines that the metrics had; None where that is not known.
    """

    step: int = 0
    elapsed_seconds: float = 0.0
    loss_scale: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    num_metrics: int | None = None

    @classmethod
    def after(cls, step: Step, extra: dict[str, Any]) -> Self:
        """Returns where a run stands after a step."""
        return cls(
            step=step.number,
            elapsed_seconds=step.elapsed_seconds,
            loss_scale=step.loss_scale,
            extra=extra,
        )


def train_steps(
    objective: Objective[BatchT, PreparedT],
    batches: Iterable[Sequence[BatchT]],
    *,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    budget: Budget,
    device: torch.device,
    max_grad_norm: float | None = None,
    precision: Precision = "fp32",
    start: TrainState | None = None,
    ranks: Ranks | None = None,
) -> Iterator[Step]:
    """Makes optimiser steps until the budget or the batches end, yielding after each one.

    Time spent in the body of the caller's `for` does not count as training time.

    Args:
        objective: The loss.
        batches: For each step, from `start` on, the micro-batches of this process.
        optimizer: From `build_adamw`: its groups carry `peak_learning_rate`.
        schedule: Learning rate over the run.
        budget: Where the run ends.
        device: Where the model is.
        max_grad_norm: Gradients are scaled down to this norm; None leaves them.
        precision: Arithmetic of the forward pass; weights stay in float32.
        start: Where a resumed run stands.
        ranks: The processes that share each step; one if absent. The weights follow from all their
            micro-batches, and every process yields the same figures.

    Raises:
        TrainingError: On a loss or gradient that is not finite, before the weights move.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    start, ranks = start or TrainState(), ranks or Ranks()
    if start.loss_scale:
        scaler.load_state_dict(start.loss_scale)
    elapsed, number, iterator = start.elapsed_seconds, start.step, iter(batches)
    while not budget.is_spent(number, elapsed):
        started = time.perf_counter()
        micro_batches = next(iterator, None)
        if micro_batches is None:
            return
        factor = schedule.factor(budget.progress(number, elapsed))
        for group in optimizer.param_groups:
            group["lr"] = group["peak_learning_rate"] * factor
        optimizer.zero_grad(set_to_none=True)
        losses, shares = _accumulate(
            objective, micro_batches, device=device, precision=precision, scaler=scaler, ranks=ranks
        )
        ranks.sum_gradients(parameters)
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm or math.inf, foreach=True)
        # The only wait for the device in a step; with fp16 the scaler has another.
        *sums, grad_norm = _read_sums([losses, *shares.values(), [norm]])
        loss, *values = ranks.sum(*sums)
        terms = dict(zip(shares, values, strict=True))
        number += 1
        _require_finite(number, loss, grad_norm, terms, scaler)
        scaler.step(optimizer)
        scaler.update()
        elapsed = ranks.of_main(elapsed + time.perf_counter() - started)
        (num_tokens,) = ranks.sum(sum(batch.num_tokens for batch in micro_batches))
        yield Step(
            number=number,
            loss=loss,
            terms=terms,
            learning_rate=max(
                group["lr"] for group in optimizer.param_groups if not group.get(OWN_RATE)
            ),
            grad_norm=grad_norm,
            num_tokens=int(num_tokens),
            elapsed_seconds=elapsed,
            loss_scale=scaler.state_dict(),
        )


def _accumulate(
    objective: Objective[BatchT, PreparedT],
    micro_batches: Sequence[BatchT],
    *,
    device: torch.device,
    precision: Precision,
    scaler: torch.amp.GradScaler,
    ranks: Ranks,
) -> tuple[list[Tensor], dict[str, list[Tensor]]]:
    """Adds up the gradients of all micro-batches.

    Returns:
        What each adds to the loss, and to each term by its name, on the device.
    """
    counts: Counter[str] = Counter()
    prepared = [objective.prepare(batch) for batch in micro_batches]
    for part in prepared:
        counts.update(part.counts)
    totals = ranks.sum_counts(counts)
    losses: list[Tensor] = []
    shares: dict[str, list[Tensor]] = {}
    for part in prepared:
        with autocast(device, precision):
            loss, terms = objective(part.to(device), totals)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
        for name, value in terms.items():
            shares.setdefault(name, []).append(value)
    return losses, shares


def _read_sums(parts: Sequence[Sequence[Tensor]]) -> list[float]:
    """Returns the sum of each part's numbers, all of which are read from the device at once.

    They are added up here: not every device has numbers of 64 bits, Apple's has none.
    """
    numbers = [number for part in parts for number in part]
    widest = reduce(torch.promote_types, (number.dtype for number in numbers))
    values = iter(torch.stack([number.to(widest) for number in numbers]).tolist())
    return [sum(islice(values, len(part))) for part in parts]


def _require_finite(
    step: int,
    loss: float,
    grad_norm: float,
    terms: Mapping[str, float],
    scaler: torch.amp.GradScaler,
) -> None:
    """Stops the run where the loss or the gradient norm is not finite."""
    # With fp16, overflowing gradients are part of finding the loss scale: the scaler skips them.
    overflow_is_expected = scaler.is_enabled() and scaler.get_scale() > 1
    if math.isfinite(loss) and (math.isfinite(grad_norm) or overflow_is_expected):
        return
    shown = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
    raise TrainingError(
        f"step {step}: the loss is {loss:.4g} ({shown}) and the gradient norm {grad_norm:.4g}; "
        "the weights were not changed. Lower learning_rate, raise schedule.warmup_ratio or set "
        "max_grad_norm; with precision fp16 try bf16 or fp32. The last good checkpoint is kept."
    )


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Returns the context in which forward passes run at the given precision."""
    if precision == "fp32":
        return nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.type, dtype=dtype)


def choose_device(name: str = "auto") -> torch.device:
    """Returns the device of a name, `auto` being the first accelerator or else the CPU.

    Raises:
        SettingsError: If torch can't use the device.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"device = '{name}' can't be used: {reason}. Accepted: auto, cpu, cuda, cuda:0, mps"
        ) from None
    return device
