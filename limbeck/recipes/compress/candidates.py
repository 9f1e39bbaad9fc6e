"""What `compress` tries: each candidate is a smaller model, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.checkpoints import short_name
from limbeck.errors import SettingsError
from limbeck.losses import build_loss
from limbeck.recipes import finetune
from limbeck.recipes._tasks.card import make_card
from limbeck.recipes.finetune.distillation import learns_from_logits
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.report.card import Card
from limbeck.runs import FinetuneRecord

if TYPE_CHECKING:
    from limbeck.recipes.compress import CompressSettings

_SHARES = (2 / 3, 1 / 2, 1 / 3, 1 / 4)
_PASSED_ON = {
    "task",
    "data",
    "task_options",
    "task_label",
    "max_length",
    "evaluation_batch_size",
    "device",
    "precision",
    "seeds",
    "losses",
    "label_weight",
    "epochs",
    "learning_rate",
    "batch_size",
}
"""Settings of `compress` that every fine-tuning takes over."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may be small enough and good enough.

    Attributes:
        name: What tables call it.
        how: How it is made, in words.
        folder: Its run folder, as a report reads it.
        make: Makes it, or goes on with it, and scores it; returns what its `result.json` holds.
        card: From the task's data, one seed's record and all of them to that seed's model card.
    """

    name: str
    how: str
    folder: Path
    make: Callable[..., FinetuneRecord]
    card: Callable[..., Card]


def list_candidates(settings: CompressSettings, *, num_layers: int) -> list[Candidate]:
    """Returns all that is to be tried; a further way to make models is a further generator here.

    Args:
        settings: Of the run.
        num_layers: Depth of the teacher.

    Raises:
        SettingsError: If there is none, or a setting of the students is wrong.
    """
    found = [
        candidate
        for generate in (_given_students, _copied_layers)
        for candidate in generate(settings, num_layers)
    ]
    if not found:
        raise SettingsError(
            f"{settings.model} has {num_layers} layer, so no student can be made of its layers; "
            "give an encoder as student=MODEL"
        )
    return found


def choose_depths(num_layers: int) -> tuple[int, ...]:
    """Returns the depths tried if none are given: 2/3, 1/2, 1/3 and 1/4 of the teacher's.

    Example:
        >>> choose_depths(12), choose_depths(6), choose_depths(1)
        ((8, 6, 4, 3), (4, 3, 2), ())
    """
    depths = {max(1, round(num_layers * share)) for share in _SHARES}
    return tuple(sorted((depth for depth in depths if depth < num_layers), reverse=True))


def _copied_layers(settings: CompressSettings, num_layers: int) -> Iterator[Candidate]:
    """Yields students of the teacher's own layers."""
    depths = settings.depths
    if depths is None:
        depths = choose_depths(num_layers) if settings.student is None else ()
    for depth in sorted(depths, reverse=True):
        if depth >= num_layers:
            raise SettingsError(
                f"depths: {depth} is not below the depth of {settings.model}, which has "
                f"{num_layers} layers; accepted: 1 to {num_layers - 1}"
            )
        name = f"{depth} layer{'s' if depth > 1 else ''}"
        yield _distilled(
            settings,
            name,
            f"{depth} of the teacher's {num_layers} layers, distilled on the task",
            {"model": settings.model, "new_head": False, "keep_layers": depth},
        )


def _given_students(settings: CompressSettings, _num_layers: int) -> Iterator[Candidate]:
    """Yields encoders that were made before, each with a new head."""
    given = settings.student or ()
    students = (given,) if isinstance(given, str) else given
    names = [short_name(student) for student in students]
    for student, name in zip(students, names, strict=True):
        yield _distilled(
            settings,
            name if names.count(name) == 1 else student,
            f"{name} with a new head, distilled on the task",
            {"model": student, "new_head": True},
        )


def _distilled(
    settings: CompressSettings, name: str, how: str, changes: dict[str, Any]
) -> Candidate:
    folder = settings.out / "students" / name.strip("/").replace(" ", "-").replace("/", "--")
    values = {
        **settings.model_dump(include=_PASSED_ON),
        "teacher": settings.model,
        "teacher_cache": _teacher_cache(settings),
        "label": name,
        "role": "student",
        "out": folder,
        **changes,
    }
    taken = sorted(values.keys() & settings.finetune.keys())
    if taken:
        raise SettingsError(
            f"finetune.{taken[0]} is not for you to set: it is a setting of compress itself, or "
            "differs between the students"
        )
    run_settings = FinetuneSettings.from_values(values | settings.finetune, where="finetune")
    return Candidate(
        name=name,
        how=how,
        folder=folder,
        make=partial(finetune.run, run_settings),
        card=partial(make_card, run_settings),
    )


def _teacher_cache(settings: CompressSettings) -> Path | None:
    """Returns where all students find the teacher's logits, if logits are all they learn from."""
    losses = {name: build_loss(name, values) for name, values in settings.losses.items()}
    return settings.out / "teacher" / "cache" if learns_from_logits(losses) else None
