"""Students of the teacher's own layers with fewer heads and inner neurons in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.errors import SettingsError
from limbeck.recipes.compress.candidates._candidate import NO_LAYERS, Candidate, distil
from limbeck.recipes.compress.candidates.own_layers import choose_depths
from limbeck.recipes.compress.settings import CompressSettings


def list_candidates(settings: CompressSettings, num_layers: int | None) -> Iterator[Candidate]:
    """Yields students that keep a share of each layer, at the full depth and at the others.

    Raises:
        SettingsError: If the teacher has no layers to narrow.
    """
    if not settings.widths:
        return
    if num_layers is None:
        raise SettingsError(
            f"widths: {settings.model} {NO_LAYERS}, so that no student can be made of its layers; "
            "leave it out and give student=MODEL"
        )
    depths = choose_depths(num_layers) if settings.depths is None else settings.depths
    for depth in sorted({num_layers, *depths}, reverse=True):
        for share in sorted(settings.widths, reverse=True):
            yield _narrow(settings, depth, num_layers, share)


def _narrow(settings: CompressSettings, depth: int, num_layers: int, share: float) -> Candidate:
    kept: list[dict[str, Any]] = [{"method": "prune_units", "heads": share, "neurons": share}]
    if depth < num_layers:
        kept.insert(0, {"method": "keep_layers", "layers": depth})
    name = f"{depth} layer{'s' if depth > 1 else ''}, {share:g} wide"
    how = (
        f"{depth} of the teacher's {num_layers} layers with {100 * share:g} % of their heads and "
        "inner neurons, distilled on the task"
    )
    return distil(settings, name, how, {"model": settings.model, "new_head": False, "start": kept})
