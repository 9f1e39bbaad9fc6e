"""The loop: accumulation changes nothing, budgets end runs, what is not finite stops them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limbeck.errors import SettingsError, TrainingError
from limbeck.train import (
    Budget,
    Schedule,
    Step,
    TrainState,
    build_adamw,
    choose_device,
    defer_interrupts,
    train_steps,
    watch_steps,
)

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Examples:
    inputs: Tensor
    targets: Tensor

    @property
    def num_tokens(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> Examples:
        return Examples(self.inputs.to(device), self.targets.to(device))

    def split(self, sizes: list[int]) -> list[Examples]:
        pairs = zip(self.inputs.split(sizes), self.targets.split(sizes), strict=True)
        return [Examples(*pair) for pair in pairs]


@dataclass(frozen=True)
class Counted:
    batch: Examples
    counts: Mapping[str, int]

    def to(self, device: torch.device) -> Counted:
        return Counted(self.batch.to(device), self.counts)


class SquaredError:
    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def prepare(self, batch: Examples) -> Counted:
        return Counted(batch, {"squared_error": len(batch.inputs)})

    def __call__(
        self, prepared: Counted, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        batch = prepared.batch
        error = (self.model(batch.inputs) - batch.targets).square().sum()
        share = error / counts["squared_error"]
        return share, {"squared_error": share.detach()}


def make_batches(num_steps: int, sizes: list[int]) -> list[list[Examples]]:
    generator = torch.Generator().manual_seed(1)
    batches = []
    for _ in range(num_steps):
        inputs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
        whole = Examples(inputs, inputs.sum(-1, keepdim=True))
        batches.append(whole.split(sizes))
    return batches


def train(sizes: list[int], **options: object) -> tuple[nn.Module, list[Step]]:
    torch.manual_seed(0)
    model = nn.Linear(4, 1, dtype=torch.float64)
    defaults = {"schedule": Schedule(), "budget": Budget(max_steps=5), "max_grad_norm": 1.0}
    steps = train_steps(
        SquaredError(model),
        make_batches(8, sizes),
        optimizer=build_adamw([model], learning_rate=0.1),
        device=CPU,
        **(defaults | options),
    )
    return model, list(steps)


@pytest.mark.parametrize("sizes", [[6, 6], [1, 4, 7], [3, 3, 3, 3]])
def test_accumulation_changes_nothing(sizes: list[int]) -> None:
    whole, split = train([12]), train(sizes)
    torch.testing.assert_close(split[0].weight, whole[0].weight, rtol=1e-12, atol=1e-12)
    for expected, actual in zip(whole[1], split[1], strict=True):
        assert actual.loss == pytest.approx(expected.loss, rel=1e-12)
        assert actual.grad_norm == pytest.approx(expected.grad_norm, rel=1e-12)
        assert actual.num_tokens == 12


def test_equals_plain_pytorch() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1, dtype=torch.float64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
    losses = []
    for (batch,) in make_batches(5, [12]):
        loss = (model(batch.inputs) - batch.targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    constant = Schedule(decay="constant", warmup_ratio=0)
    trained, steps = train([12], schedule=constant, max_grad_norm=None)
    assert [step.loss for step in steps] == pytest.approx(losses, rel=1e-12)
    torch.testing.assert_close(trained.weight, model.weight, rtol=1e-12, atol=1e-12)


def test_ends_with_the_budget_and_never_at_rate_zero() -> None:
    _, steps = train([12], budget=Budget(max_steps=6))
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(step.learning_rate > 0 for step in steps)
    _, steps = train([12], budget=Budget(max_minutes=1e-9))
    assert len(steps) == 1


def test_ends_with_the_batches() -> None:
    assert len(train([12], budget=Budget(max_steps=100))[1]) == 8


def test_not_finite_stops_before_the_weights_move() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1, dtype=torch.float64)
    before = model.weight.detach().clone()
    batches = make_batches(3, [12])
    batches[0][0].inputs[0, 0] = float("inf")
    steps = train_steps(
        SquaredError(model),
        batches,
        optimizer=build_adamw([model], learning_rate=0.1),
        schedule=Schedule(),
        budget=Budget(max_steps=3),
        device=CPU,
    )
    with pytest.raises(TrainingError, match=r"step 1: the loss is inf .*squared_error inf.*Lower"):
        list(steps)
    assert torch.equal(model.weight, before)


def test_a_stop_asked_for_too_late_for_any_step_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), defer_interrupts() as interrupt:
        signal.raise_signal(signal.SIGINT)
    assert interrupt.requested
    with defer_interrupts() as interrupt:
        pass
    assert not interrupt.requested


def test_steps_that_are_held_can_be_left_in_another_thread() -> None:
    def hold() -> Iterator[None]:
        with defer_interrupts():
            yield

    held = hold()
    own = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    next(held)
    try:
        with ThreadPoolExecutor(1) as other:
            other.submit(held.close).result()
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)


def test_budget_needs_an_end() -> None:
    with pytest.raises(SettingsError, match="max_steps, max_minutes or both"):
        Budget()
    with pytest.raises(SettingsError, match=r"max_minutes = -1: must be greater than 0"):
        Budget(max_minutes=-1)


def test_unusable_device_is_named() -> None:
    with pytest.raises(SettingsError, match=r"device = 'tpu9' can't be used.*auto, cpu"):
        choose_device("tpu9")


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_schedule_rises_then_never_rises_again(decay: str) -> None:
    schedule = Schedule(decay=decay, warmup_ratio=0.2)
    factors = [schedule.factor(i / 100) for i in range(101)]
    assert factors[0] == 0
    assert factors[20] == max(factors) == 1
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[-1] == pytest.approx(1.0 if decay == "constant" else 0.0)


class Tower(nn.Module):
    """The parameters of an encoder of two layers, without its computation."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.embeddings = nn.ModuleDict(
            {"word": nn.Embedding(3, 2), "norm": nn.LayerNorm(2)}
        )
        self.encoder.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.head = nn.Linear(2, 1)

    def parameter_depths(self) -> dict[str, int]:
        depths = {"embeddings": 0, "layers.0": 1, "layers.1": 2}
        return {
            name: next((d for part, d in depths.items() if f"encoder.{part}." in name), 3)
            for name, _ in self.named_parameters()
        }


def test_groups_of_adamw() -> None:
    tower = Tower()
    optimizer = build_adamw([tower], learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)
    found = {
        id(parameter): (group["peak_learning_rate"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    expected = {
        "encoder.embeddings.word.weight": (0.125, 0.1),
        "encoder.embeddings.norm.weight": (0.125, 0.0),
        "encoder.embeddings.norm.bias": (0.125, 0.0),
        "encoder.layers.0.weight": (0.25, 0.1),
        "encoder.layers.0.bias": (0.25, 0.0),
        "encoder.layers.1.weight": (0.5, 0.1),
        "encoder.layers.1.bias": (0.5, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }
    assert {name: found[id(p)] for name, p in tower.named_parameters()} == expected


def test_frozen_parameters_are_left_out() -> None:
    tower = Tower()
    tower.encoder.requires_grad_(False)
    optimizer = build_adamw([tower], learning_rate=1.0)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize(
    ("budget", "unit", "total", "done"),
    [
        (Budget(max_steps=8), "steps", 8, 3),
        (Budget(max_minutes=2), "s", 120, 30),
        (Budget(max_steps=8, max_minutes=2), "%", 100, 37.5),
        (Budget(max_steps=80, max_minutes=2), "%", 100, 25),
    ],
)
def test_progress_is_in_the_unit_that_bounds_the_run(
    budget: Budget, unit: str, total: float, done: float
) -> None:
    shown: dict[str, float | str | None] = {"done": 0.0}

    class Recorder:
        def advance(self, amount: float = 1) -> None:
            shown["done"] += amount

        def update(self, **fields: str | float) -> None:
            shown.update(fields)

        @contextmanager
        def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[Recorder]:
            shown.update(total=total, unit=unit)
            yield self

        def log(self, message: str) -> None:
            raise AssertionError(message)

    start = TrainState(step=1, elapsed_seconds=10)
    step = Step(
        number=3,
        loss=1.0,
        terms={},
        learning_rate=0.1,
        grad_norm=1.0,
        num_tokens=200,
        elapsed_seconds=30,
    )
    with watch_steps(Recorder(), "training", budget=budget, start=start) as watch:
        watch.show(step)
    assert (shown["unit"], shown["total"]) == (unit, total)
    assert shown["done"] == pytest.approx(done)
    assert shown["tokens_per_second"] == pytest.approx(10)


class _Dtypes(TorchDispatchMode):
    """Notes the types of all tensors that are computed within it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        self.seen |= {leaf.dtype for leaf in tree_leaves(found) if isinstance(leaf, Tensor)}
        return found


def test_no_number_of_64_bits_is_asked_of_the_device() -> None:
    """Apple's GPUs have none, and refuse."""
    model = nn.Linear(4, 1)
    batches = [
        [Examples(part.inputs.float(), part.targets.float()) for part in step]
        for step in make_batches(2, [6, 6])
    ]
    steps = train_steps(
        SquaredError(model),
        batches,
        optimizer=build_adamw([model], learning_rate=0.1),
        schedule=Schedule(),
        budget=Budget(max_steps=2),
        device=CPU,
        max_grad_norm=1.0,
    )
    with _Dtypes() as dtypes:
        made = list(steps)
    assert len(made) == 2
    assert torch.float64 not in dtypes.seen
    assert torch.float32 in dtypes.seen
