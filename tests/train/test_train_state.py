"""Checkpoints: exact, atomic, the newest two kept, a damaged one passed over."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from limbeck.errors import CheckpointError, TrainingError
from limbeck.train import (
    MetricsWriter,
    TrainState,
    build_adamw,
    load_state,
    read_metrics,
    save_state,
)


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    return model, build_adamw([model], learning_rate=0.1, weight_decay=0.1)


def make_steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> Path:
    state = TrainState(step=step, elapsed_seconds=1.5 * step, extra={"best": 0.5})
    return save_state(folder, state, modules={"model": model}, optimizer=optimizer)


def test_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = make()
    make_steps(model, optimizer, 3)
    save(tmp_path, model, optimizer, 3)
    make_steps(model, optimizer, 4)

    other, other_optimizer = make()
    make_steps(other, other_optimizer, 1)
    state = load_state(tmp_path, modules={"model": other}, optimizer=other_optimizer)
    assert state == TrainState(step=3, elapsed_seconds=4.5, extra={"best": 0.5})
    make_steps(other, other_optimizer, 4)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_keeps_the_newest_two(tmp_path: Path) -> None:
    model, optimizer = make()
    for step in (9, 10, 11):
        save(tmp_path, model, optimizer, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000011"]


@pytest.mark.parametrize(
    "damage", ["cut", "flip", "no record", "bad record", "other step", "empty folder"]
)
def test_damaged_checkpoint_is_passed_over(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, optimizer = make()
    save(tmp_path, model, optimizer, 1)
    make_steps(model, optimizer, 1)
    newest = save(tmp_path, model, optimizer, 2)
    tensors, record = newest / "state.safetensors", newest / "state.json"
    content = bytearray(tensors.read_bytes())
    if damage == "cut":
        tensors.write_bytes(content[:-10])
    elif damage == "flip":
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif damage == "no record":
        record.unlink()
    elif damage == "bad record":
        record.write_text(record.read_text()[:-5])
    elif damage == "other step":
        record.write_text(record.read_text().replace('"step": 2', '"step": 3'))
    else:
        tensors.unlink()
        record.unlink()
    with caplog.at_level(logging.WARNING):
        state = load_state(tmp_path, modules={"model": model}, optimizer=optimizer)
    assert state is not None
    assert state.step == 1
    assert "step-00000002 is damaged and is passed over" in caplog.text


def test_unfinished_write_is_not_seen(tmp_path: Path) -> None:
    model, optimizer = make()
    for step in ("00000003", "00000005"):
        (tmp_path / f".partial-step-{step}").mkdir()
    assert load_state(tmp_path, modules={"model": model}, optimizer=optimizer) is None
    save(tmp_path, model, optimizer, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000005"]


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model, optimizer = make()
    save(tmp_path, model, optimizer, 1)
    other = nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"step-00000001 does not belong to this run's model"):
        load_state(
            tmp_path, modules={"model": other}, optimizer=build_adamw([other], learning_rate=1)
        )


def test_checkpoint_of_other_parameter_groups_is_refused(tmp_path: Path) -> None:
    model, optimizer = make()
    save(tmp_path, model, optimizer, 1)
    model[0].requires_grad_(False)
    frozen = build_adamw([model], learning_rate=0.1, weight_decay=0.1)
    with pytest.raises(CheckpointError, match=r"step-00000001 .*this run's optimiser.*`out`"):
        load_state(tmp_path, modules={"model": model}, optimizer=frozen)


def test_figures_that_are_not_finite_are_null(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as metrics:
        metrics.write("train", step=1, grad_norm=float("inf"), loss=1.5)
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line.pop("crc32")
    assert line == {"kind": "train", "step": 1, "grad_norm": None, "loss": 1.5}


def test_metrics_of_steps_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as metrics:
        for step in (1, 2, 3):
            metrics.write("train", step=step, loss=1 / step)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    with MetricsWriter(tmp_path, resume_step=2) as metrics:
        metrics.write("train", step=3, loss=7.0)
    assert [(m.step, m.values["loss"]) for m in read_metrics(tmp_path)] == [
        (1, 1),
        (2, 0.5),
        (3, 7),
    ]


def test_what_was_measured_before_a_kill_stands_once(tmp_path: Path) -> None:
    """The run was killed after its last measurement and before the checkpoint knew of it."""
    for _ in range(2):
        with MetricsWriter(tmp_path, resume_step=2) as metrics:
            metrics.write("evaluate", step=2, loss=0.5)
            metrics.write("train", step=3, loss=0.25)
    assert [(m.kind, m.step) for m in read_metrics(tmp_path)] == [("evaluate", 2), ("train", 3)]


def test_tensorboard_files_hold_the_same_figures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with MetricsWriter(tmp_path, tensorboard=True) as metrics:
        metrics.write("train", step=4, loss=0.25)
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(4, 0.25)]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == 0.25


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"kind": "train", "loss": 1}', "line 1 has no 'kind' in words or no 'step' in whole"),
        ('{"kind": "train", "step": "2"}', "line 1 has no 'kind' in words or no 'step' in whole"),
        ('{"kind": "train", "st', r"line 1: not a JSON object: "),
        ('{"kind": "train", "step": 1, "crc32": "00000000"}', "line 1 differs from its checksum"),
    ],
)
def test_lines_that_are_no_measurement_are_refused(tmp_path: Path, line: str, match: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(TrainingError, match=rf"metrics.jsonl, {match}.*; remove the file to go on"):
        read_metrics(tmp_path)


def test_a_figure_that_was_damaged_is_refused(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as metrics:
        metrics.write("train", step=1, loss=1.5)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text().replace("1.5", "1.7"))
    with pytest.raises(TrainingError, match=r"metrics.jsonl, line 1 differs from its checksum; "):
        read_metrics(tmp_path)


def test_metrics_that_lost_lines_before_the_checkpoint_are_refused(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as metrics:
        for step in (1, 2, 2, 3):
            metrics.write("train", step=step, loss=1 / step)
        assert metrics.num_lines == 4
    with MetricsWriter(tmp_path, resume_step=2, resume_lines=2) as metrics:
        assert metrics.num_lines == 2  # what was measured again stands once
    message = r"metrics.jsonl has 2 of the 5 lines that it had after step 9; remove the file to go"
    with pytest.raises(TrainingError, match=message):
        MetricsWriter(tmp_path, resume_step=9, resume_lines=5)
    (tmp_path / "metrics.jsonl").unlink()
    with MetricsWriter(tmp_path, resume_step=9, resume_lines=5) as metrics:
        assert metrics.num_lines == 0


def test_a_measurement_that_the_disk_does_not_take_names_its_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsWriter(tmp_path) as metrics:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            with pytest.raises(
                TrainingError, match=r"can't write .*metrics\.jsonl: it gets larger"
            ):
                metrics.write("train", step=1, loss=0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
