"""Several processes share a step: the weights are those of one process with all micro-batches."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import torch
from torch import Tensor, nn

from limbeck.train import (
    Budget,
    Ranks,
    Schedule,
    SilentProgress,
    Step,
    build_adamw,
    open_run,
    read_metrics,
)

pytestmark = pytest.mark.slow  # processes of their own


@dataclass(frozen=True)
class Numbers:
    inputs: Tensor

    @property
    def num_tokens(self) -> int:
        return len(self.inputs)

    @property
    def counts(self) -> Mapping[str, int]:
        return {"square": len(self.inputs)}

    def to(self, device: torch.device) -> Self:
        return self


class MeanSquare(nn.Module):
    """Averages over as many rows as the whole step has; only positive rows reach `rare`, and
    none `unseen`, which therefore does not decay."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.common = nn.Linear(2, 1, dtype=torch.float64)
        self.rare = nn.Linear(2, 1, dtype=torch.float64)
        self.unseen = nn.Linear(2, 1, dtype=torch.float64)

    def prepare(self, batch: Numbers) -> Numbers:
        return batch

    def forward(
        self, batch: Numbers, counts: Mapping[str, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        given = self.common(batch.inputs)
        if (batch.inputs > 0).all():
            given = given + self.rare(batch.inputs)
        share = given.square().sum() / counts["square"]
        return share, {"square": share.detach()}


def make_batches() -> list[list[Numbers]]:
    """Three steps of two micro-batches that differ in size; all of the second are positive."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((1, 4), (3, 2), (5, 1))
    return [
        [
            Numbers(-torch.rand(first, 2, generator=generator, dtype=torch.float64)),
            Numbers(0.1 + torch.rand(second, 2, generator=generator, dtype=torch.float64)),
        ]
        for first, second in sizes
    ]


def train(folder: Path, ranks: Ranks | None) -> tuple[nn.Module, list[Step]]:
    objective = MeanSquare()
    optimizer = build_adamw([objective], learning_rate=0.1, weight_decay=0.1)
    batches = make_batches()
    if ranks is not None:
        batches = [step[ranks.rank :: ranks.world_size] for step in batches]
    with open_run(
        folder,
        description="training",
        modules={"objective": objective},
        optimizer=optimizer,
        budget=Budget(max_steps=3),
        progress=SilentProgress(),
        log_every=1,
        save_every=2,
        ranks=ranks,
    ) as run:
        steps = list(
            run.steps(
                objective,
                batches,
                schedule=Schedule(),
                device=torch.device("cpu"),
                max_grad_norm=1.0,
                precision="fp32",
            )
        )
    return objective, steps


def train_as(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    ranks = Ranks.of_process_group()
    assert ranks.sum_counts({"a": 1 + rank, "b": 10}) == {"a": 3, "b": 20}
    assert ranks.of_main(5.0 + rank) == 5.0
    # Each process is given a folder of its own, so that what it writes can be told apart.
    objective, steps = train(folder / str(rank), ranks)
    torch.save((objective.state_dict(), steps), folder / f"result-{rank}")
    torch.distributed.destroy_process_group()


def test_one_process_is_the_plain_case() -> None:
    ranks = Ranks()
    assert ranks.is_main
    assert ranks.sum(1, 2.5) == [1, 2.5]
    assert ranks.sum_counts({"a": 2}) == {"a": 2}
    assert ranks.of_main(3.0) == 3.0


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    expected, steps = train(tmp_path / "one", None)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=train_as, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        assert process.exitcode == 0
    for rank in (0, 1):
        weights, of_rank = torch.load(tmp_path / f"result-{rank}", weights_only=False)
        for name, tensor in expected.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-12, atol=1e-12)
        for ours, single in zip(of_rank, steps, strict=True):
            assert ours.loss == pytest.approx(single.loss, rel=1e-12)
            assert ours.terms == pytest.approx(single.terms, rel=1e-12)
            assert ours.grad_norm == pytest.approx(single.grad_norm, rel=1e-12)
            assert ours.num_tokens == single.num_tokens
    assert [line.step for line in read_metrics(tmp_path / "0")] == [1, 2, 3]
    assert (tmp_path / "0/checkpoints/step-00000002").is_dir()
    assert not (tmp_path / "1").exists()
