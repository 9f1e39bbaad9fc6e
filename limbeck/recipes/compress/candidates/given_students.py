"""Encoders that were made before, each with a new head."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.checkpoints import resolve_folder, short_name
from limbeck.errors import CheckpointError, SettingsError
from limbeck.models import AutoConfig
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes.compress.candidates._candidate import Candidate, distil
from limbeck.recipes.compress.settings import CompressSettings


def list_candidates(settings: CompressSettings, _num_layers: int | None) -> Iterator[Candidate]:
    """Yields encoders that were made before, each with a new head.

    Raises:
        CheckpointError: If one is no model, now rather than after the others were trained.
        SettingsError: If one has no name to call it by.
    """
    given = settings.student or ()
    students = (given,) if isinstance(given, str) else given
    names = [short_name(student) for student in students]
    for student, name in zip(students, names, strict=True):
        try:
            AutoConfig.from_pretrained(resolve_folder(student, weights=False))
            folder_name(name)
        except (CheckpointError, SettingsError) as error:
            raise type(error)(f"student = '{student}': {error}") from error
        yield distil(
            settings,
            name if names.count(name) == 1 else student,
            f"{name} with a new head, distilled on the task",
            {"model": student, "new_head": True},
        )
