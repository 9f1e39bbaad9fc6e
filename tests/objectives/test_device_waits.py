"""A step waits for the device once, whatever its losses, as benchmarks/device_waits.py counts."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from limbeck import listing
from limbeck.losses import build_loss

WAITS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/device_waits.py"))


def count(losses: dict[str, object], *, confined: bool = False) -> dict[str, int]:
    waits = WAITS["count_distill_waits"](losses, micro_batches=2, confined=confined)
    return {where.partition(" in ")[0]: number for where, number in waits.items()}


def test_the_counter_sees_what_waits() -> None:
    """Were it blind to something, the tests below would pass for nothing."""
    weight = nn.Parameter(torch.ones(4))
    elsewhere = torch.ones(4)
    with WAITS["WaitCounter"]([weight]) as counter:
        found = weight.detach() * elsewhere
        (found > 0).nonzero()
        found[found > 0]
        found.tolist()
        float(found.sum())
        bool((found > 0).all())
        found.sum().item()
        found.new_tensor([1.0])
        elsewhere.to(WAITS["_COPIED"])
        elsewhere.to(WAITS["_COPIED"], non_blocking=True).tolist()
        assert elsewhere.nonzero().tolist(), "which waits for nothing"
    expected = {"nonzero": 1, "index": 1, "tolist": 2, "float": 1, "bool": 1, "item": 1}
    expected |= {"new_tensor": 1, "copy": 1}
    assert {where.partition(" in ")[0]: n for where, n in counter.waits.items()} == expected


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("preset", ["distilbert", "distilbert-original", "minilm"])
def test_a_preset_waits_once_a_step(preset: str, confined: bool) -> None:
    assert count(WAITS["preset_losses"](preset), confined=confined) == {"tolist": 1}


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        (name, positions)
        for name in listing.list_names("limbeck.losses")
        if listing.load("limbeck.losses", name).Loss.recipe is None
        for positions in get_args(
            listing.load("limbeck.losses", name).Loss.model_fields["positions"].annotation
        )
    ],
)
def test_a_loss_adds_no_wait(name: str, positions: str) -> None:
    """Beside one on logits of other positions, so that the vocabulary head runs over both."""
    other = "soft_targets" if name == "masked_lm" else "masked_lm"
    losses = {
        name: build_loss(name, {"positions": positions}),
        other: build_loss(other, {}),
    }
    assert count(losses) == {"tolist": 1}
