"""Students of the teacher's own layers, of several depths."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.errors import SettingsError
from limbeck.recipes.compress.candidates._candidate import NO_LAYERS, Candidate, distil
from limbeck.recipes.compress.settings import CompressSettings

_SHARES = (2 / 3, 1 / 2, 1 / 3, 1 / 4)


def list_candidates(settings: CompressSettings, num_layers: int | None) -> Iterator[Candidate]:
    """Yields students of the teacher's own layers."""
    if num_layers is None:
        if settings.depths is not None:
            raise SettingsError(
                f"depths: {settings.model} {NO_LAYERS}, so that no student can be made of its "
                "layers; leave it out and give student=MODEL"
            )
        return
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
        yield distil(
            settings,
            name,
            f"{depth} of the teacher's {num_layers} layers, distilled on the task",
            {"model": settings.model, "new_head": False, "keep_layers": depth},
        )


def choose_depths(num_layers: int) -> tuple[int, ...]:
    """Returns the depths tried if none are given: 2/3, 1/2, 1/3 and 1/4 of the teacher's.

    Example:
        >>> choose_depths(12), choose_depths(6), choose_depths(1)
        ((8, 6, 4, 3), (4, 3, 2), ())
    """
    depths = {max(1, round(num_layers * share)) for share in _SHARES}
    return tuple(sorted((depth for depth in depths if depth < num_layers), reverse=True))
