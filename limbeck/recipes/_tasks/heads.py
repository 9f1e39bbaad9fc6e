"""Whether a model folder has the head that a task needs, by its `config.json` alone."""

from __future__ import annotations

from pathlib import Path

from limbeck.checkpoints import read_config
from limbeck.errors import MissingHeadError, with_article
from limbeck.models import (
    AutoConfig,
    Kind,
    find_class,
    find_foreign_family,
    find_kind,
    find_own_kind,
)
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION
from limbeck.tasks import Task


def require_head(task: Task, folder: Path, *, name: str, setting: str = "") -> None:
    """Refuses a folder that says its model has no head, or that of another kind of task.

    One that does not say what it holds, or holds a class that Limbeck does not know, passes: its
    weights will show.

    Args:
        task: The task.
        folder: The model's folder.
        name: The model's name, as the user gave it.
        setting: Where it was given, such as `teacher = `, for the message.

    Raises:
        MissingHeadError: Names the head there is and the one that is needed.
    """
    wanted, kind = task.auto_model.kind, find_head(folder)
    if kind in (None, wanted) or not wanted.has_head:
        return
    raise MissingHeadError(
        f"{setting}{describe_missing_head(task, name=name)} (it holds "
        f"{with_article(_name_class(folder))}; needed is "
        f"{with_article(_name_needed(folder, wanted))})"
    )


def require_named_task(folder: Path, *, name: str) -> None:
    """Refuses to take a model for one of the usual task where nobody named any, and it is not.

    Args:
        folder: The model's folder, which does not say what it was fine-tuned for.
        name: The model's name, as the user gave it.

    Raises:
        MissingHeadError: Says what it has instead of a head for whole texts.
    """
    kind = find_head(folder)
    if kind in (None, SEQUENCE_CLASSIFICATION):  # as the usual task wants it
        return
    if not kind.has_head:
        raise MissingHeadError(
            f"{name} has no head, and nothing says for which task it is. Fine-tune it first: "
            f"limbeck finetune {name} --task NAME --data ... --out RUN, then give RUN/model; "
            "limbeck list tasks shows the names"
        )
    raise MissingHeadError(
        f"{name} holds {with_article(_name_class(folder))}, and nothing says for which task; "
        "accepted: task=NAME, as limbeck list tasks shows them"
    )


def _name_needed(folder: Path, kind: Kind) -> str:
    if (family := find_foreign_family(folder)) is not None:
        return f"{family} model {kind.suffix}"
    return find_class(AutoConfig.from_pretrained(folder).model_type, kind).__name__


def find_head(folder: Path) -> Kind | None:
    """Returns which head a folder says its model has; None where it does not say."""
    family = read_config(folder).get("model_type")
    if family is None or find_foreign_family(folder) is not None:
        return find_kind(_name_class(folder))
    return find_own_kind(family, _name_class(folder))


def _name_class(folder: Path) -> str:
    architectures = read_config(folder).get("architectures")
    return str(architectures[0]) if isinstance(architectures, list) and architectures else ""


def describe_missing_head(task: Task, *, name: str) -> str:
    """Explains that a model has no head for a task, and how it gets one."""
    return (
        f"{name} has no head that is fine-tuned for {task.name}. Fine-tune it first: limbeck "
        f"finetune {name} --task {task.name.replace('-', '_')} --data ... --out RUN, then give "
        "RUN/model"
    )
