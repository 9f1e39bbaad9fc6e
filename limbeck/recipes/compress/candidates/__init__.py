"""What `compress` tries: a way to make smaller models is a file, with its `list_candidates`."""

from __future__ import annotations

from limbeck import listing
from limbeck.errors import SettingsError
from limbeck.recipes._tasks.folders import require_own_folders
from limbeck.recipes.compress.candidates._candidate import NO_LAYERS, Candidate
from limbeck.recipes.compress.settings import CompressSettings

__all__ = ["Candidate", "list_candidates"]


def list_candidates(settings: CompressSettings, *, num_layers: int | None) -> list[Candidate]:
    """Returns all that is to be tried.

    Args:
        settings: Of the run.
        num_layers: Depth of the teacher; None where no student can be made of its layers.

    Raises:
        SettingsError: If there is none, or a setting of the students is wrong.
    """
    ways = [listing.load(__name__, name) for name in listing.list_names(__name__)]
    found = [one for way in ways for one in way.list_candidates(settings, num_layers)]
    if not found:
        has = NO_LAYERS if num_layers is None else f"has {num_layers} layer"
        raise SettingsError(
            f"{settings.model} {has}, so no student can be made of its layers; "
            "give an encoder as student=MODEL"
        )
    require_own_folders([one.name for one in found], where="student")
    return found
