"""The losses of a student of a task against its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.errors import SettingsError
from limbeck.losses import Loss, build_loss
from limbeck.tasks import Task


def build_task_losses(
    task: Task, given: Mapping[str, Mapping[str, Any]], *, default: str | None = None
) -> dict[str, Loss]:
    """Makes the losses against a teacher: by default on its distributions, or its numbers.

    Args:
        task: The task.
        given: Settings of losses by name; where there are none, the default.
        default: Name of another loss that is it.

    Raises:
        SettingsError: If a loss does not fit what the task predicts.
    """
    default = default or ("logit_mse" if task.targets == "real" else "soft_targets")
    losses = {name: build_loss(name, values) for name, values in (given or {default: {}}).items()}
    if task.targets == "real" and "soft_targets" in losses:
        raise SettingsError(
            f"losses.soft_targets compares distributions, but {task.name} predicts numbers; "
            "use losses.logit_mse"
        )
    for name, loss in losses.items():
        if not loss.uses_teacher:
            raise SettingsError(
                f"losses.{name} compares with no teacher; the labels' loss is always there, with "
                "label_weight"
            )
    return losses
