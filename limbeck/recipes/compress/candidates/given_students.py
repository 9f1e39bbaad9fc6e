"""Encoders that were made before, each with a new head."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.checkpoints import short_name
from limbeck.recipes.compress.candidates._candidate import Candidate, distil
from limbeck.recipes.compress.settings import CompressSettings


def list_candidates(settings: CompressSettings, _num_layers: int) -> Iterator[Candidate]:
    """Yields encoders that were made before, each with a new head."""
    given = settings.student or ()
    students = (given,) if isinstance(given, str) else given
    names = [short_name(student) for student in students]
    for student, name in zip(students, names, strict=True):
        yield distil(
            settings,
            name if names.count(name) == 1 else student,
            f"{name} with a new head, distilled on the task",
            {"model": student, "new_head": True},
        )
