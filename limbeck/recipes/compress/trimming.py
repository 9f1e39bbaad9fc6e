"""Students with a trimmed vocabulary, beside those with the whole one or in their place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import SettingsError
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import require_own_folders
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.forecast import require_students
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.vocabulary import Vocabulary
from limbeck.train import Progress


def vary_vocabulary(
    settings: CompressSettings,
    candidates: Sequence[Candidate],
    data: TaskData,
    *,
    drafts: Path,
    progress: Progress,
) -> list[Candidate]:
    """Returns the students with the vocabularies that are asked for, all of which can be made.

    Args:
        settings: Of the run.
        candidates: The students with their whole vocabularies.
        data: The task's.
        drafts: Where models of fewer pieces are written, as long as the run is not begun.
        progress: Where it is told what is not tried, where nobody asked for it.

    Raises:
        LimbeckError: If a student can't be made, or a vocabulary that was asked for not trimmed.
    """
    found = list(candidates) if "whole" in settings.vocabularies else []
    require_students(found, data)
    if "trimmed" not in settings.vocabularies:
        return found
    for min_count in settings.min_count:
        known: dict[str, Vocabulary] = {}
        for candidate in candidates:
            model = candidate.settings.model
            try:
                if model not in known:
                    known[model] = Vocabulary.choose(
                        model,
                        "teacher" if model == settings.model else f"student {candidate.name}",
                        data,
                        min_count=min_count,
                        drafts=drafts,
                        out=settings.out,
                    )
                trimmed = candidate.with_vocabulary(known[model], out=settings.out)
                require_students([trimmed], data)
            except SettingsError as error:
                if settings.vocabulary is not None:
                    raise SettingsError(f"vocabulary = trimmed: {error}") from error
                progress.log(f"{candidate.name} is not tried with a trimmed vocabulary: {error}")
            else:
                found.append(trimmed)
    require_own_folders([candidate.name for candidate in found], where="student")
    return found


def list_vocabularies(candidates: Sequence[Candidate]) -> list[Vocabulary]:
    """Returns the trimmed vocabularies that students have."""
    by_place = {
        candidate.vocabulary.place: candidate.vocabulary
        for candidate in candidates
        if candidate.vocabulary is not None
    }
    return list(by_place.values())
