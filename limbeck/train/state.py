"""Checkpoints of a run: everything that decides how it goes on, written atomically."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError, LimbeckError
from limbeck.files import replace_folder, sha256_of
from limbeck.files.typed import TypedFile
from limbeck.train.loop import TrainState

logger = logging.getLogger(__name__)

_TENSORS = "state.safetensors"


class StateRecord(TypedFile):
    """What a checkpoint keeps beside its tensors."""

    FILE_NAME: ClassVar[str] = "state.json"
    REMEDY: ClassVar[str] = "remove {folder} to go on from the checkpoint before it"

    step: int
    """Optimiser steps made."""
    elapsed_seconds: float
    """Training time so far."""
    loss_scale: dict[str, Any]
    """State of the loss scale; empty but for fp16."""
    extra: dict[str, Any]
    """What the recipe keeps."""
    param_groups: list[dict[str, Any]]
    """The optimiser's settings."""
    num_metrics: int | None = None
    """Lines that the metrics had."""
    sha256: str
    """Of the tensors' file."""


def save_state(
    folder: Path,
    state: TrainState,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    keep: int = 2,
) -> Path:
    """Writes a checkpoint `folder/step-00000100` and removes all but the newest `keep`.

    The data position needs no record: batches are a function of the step. A checkpoint appears
    under its name only when it is complete and on disk.

    Args:
        folder: The run's `checkpoints` folder.
        state: Step, time and what the recipe wants kept.
        modules: Everything with weights: models and losses with parameters.
        optimizer: Its moments and settings are kept.
        keep: How many checkpoints stay; two, so that one damaged file loses little.
    """
    target = folder / f"step-{state.step:08d}"
    for unfinished in folder.glob(".partial-*"):  # the process was killed while it wrote this one
        shutil.rmtree(unfinished)
    optimizer_state = optimizer.state_dict()
    tensors = _module_tensors(modules) | _optimizer_tensors(optimizer_state) | _random_tensors()
    with replace_folder(target) as partial:
        write_safetensors(partial / _TENSORS, tensors)
        record = StateRecord(
            step=state.step,
            elapsed_seconds=state.elapsed_seconds,
            loss_scale=state.loss_scale,
            extra=state.extra,
            num_metrics=state.num_metrics,
            param_groups=optimizer_state["param_groups"],
            sha256=sha256_of(partial / _TENSORS),
        )
        record.write(partial, error=CheckpointError)
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old)
    return target


def load_state(
    folder: Path, *, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer
) -> TrainState | None:
    """Restores the newest good checkpoint into the modules, the optimiser and torch's generators.

    A damaged checkpoint is passed over with a logged warning that names it.

    Returns:
        Where the run stands, or None if there is no good checkpoint.

    Raises:
        CheckpointError: If a checkpoint is whole but belongs to other modules or parameter groups.
    """
    for path in _newest_first(folder):
        try:
            record = StateRecord.read(path)
            if sha256_of(path / _TENSORS) != record.sha256:
                raise CheckpointError(f"{path / _TENSORS} differs from its checksum")
            tensors = read_safetensors(path / _TENSORS)
        except (OSError, LimbeckError) as error:
            logger.warning("checkpoint %s is damaged and is passed over: %s", path, error)
            continue
        _restore(path, tensors, record, modules=modules, optimizer=optimizer)
        return _state_of(record)
    return None


def peek_state(folder: Path) -> TrainState | None:
    """Returns where the newest readable checkpoint stands; its tensors are not looked at."""
    for path in _newest_first(folder):
        try:
            return _state_of(StateRecord.read(path))
        except LimbeckError:  # which `load_state` will tell of
            continue
    return None


def _state_of(record: StateRecord) -> TrainState:
    return TrainState(
        step=record.step,
        elapsed_seconds=record.elapsed_seconds,
        loss_scale=record.loss_scale,
        extra=record.extra,
        num_metrics=record.num_metrics,
    )


def _restore(
    path: Path,
    tensors: dict[str, Tensor],
    record: StateRecord,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
) -> None:
    for role, module in modules.items():
        try:
            module.load_state_dict(_strip_prefix(tensors, f"module.{role}."))
        except RuntimeError as error:
            raise _foreign(path, role, error) from None
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _strip_prefix(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    try:
        optimizer.load_state_dict({"state": moments, "param_groups": record.param_groups})
    except ValueError as error:
        raise _foreign(path, "optimiser", error) from None
    torch.set_rng_state(tensors["random.cpu"])
    for name, state in _strip_prefix(tensors, "random.cuda.").items():
        if int(name) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, int(name))


def _foreign(path: Path, role: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} does not belong to this run's {role}: {error}. "
        "Give another `out` folder, or remove the checkpoints."
    )


def _module_tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"module.{role}.{name}": tensor
        for role, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


def _optimizer_tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    return {
        f"optimizer.{index}.{key}": tensor
        for index, moments in state["state"].items()
        for key, tensor in moments.items()
    }


def _random_tensors() -> dict[str, Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    for number in range(torch.cuda.device_count()):
        states[f"random.cuda.{number}"] = torch.cuda.get_rng_state(number)
    return states


def _strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
