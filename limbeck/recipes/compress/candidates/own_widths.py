"""Students of the teacher's own layers with fewer heads and inner neurons in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.checkpoints import resolve_folder
from limbeck.errors import SettingsError
from limbeck.models import AutoConfig, find_foreign_family
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes.compress.candidates._candidate import (
    NO_LAYERS,
    Candidate,
    CutStart,
    distil,
)
from limbeck.recipes.compress.candidates.own_layers import choose_depths
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.finetune.teachers import is_labeller


def list_candidates(settings: CompressSettings, num_layers: int | None) -> Iterator[Candidate]:
    """Yields students that keep a share of each layer, at the full depth and at the others.

    A search that is told of no students tries half of each layer too.

    Raises:
        SettingsError: If the teacher has no layers to narrow.
    """
    widths = _choose_widths(settings) if settings.widths is None else settings.widths
    if not widths:
        return
    if num_layers is None:
        raise SettingsError(
            f"widths: {settings.model} {NO_LAYERS}, so that no student can be made of its layers; "
            "leave it out and give student=MODEL"
        )
    depths = choose_depths(num_layers) if settings.depths is None else settings.depths
    for depth in sorted({num_layers, *depths}, reverse=True):
        for share in sorted(widths, reverse=True):
            yield _narrow(settings, depth, num_layers, share)


def _choose_widths(settings: CompressSettings) -> tuple[float, ...]:
    """Returns the widths that are tried if none are given."""
    if not settings.is_search or settings.depths is not None or settings.student is not None:
        return ()
    if is_labeller(settings.model):
        return ()
    folder = resolve_folder(settings.model, weights=False)
    if find_foreign_family(folder) is not None:
        return ()
    return () if AutoConfig.from_pretrained(folder).why_whole is not None else (0.5,)


def _narrow(settings: CompressSettings, depth: int, num_layers: int, share: float) -> Candidate:
    kept: list[dict[str, Any]] = [{"method": "prune_units", "heads": share, "neurons": share}]
    if depth < num_layers:
        kept.insert(0, {"method": "keep_layers", "layers": depth})
    name = f"{depth} layer{'s' if depth > 1 else ''}, {share:g} wide"
    how = (
        f"{depth} of the teacher's {num_layers} layers with {100 * share:g} % of their heads and "
        "inner neurons, those that the task needs most, distilled on the task"
    )
    changes = {"model": settings.model, "new_head": False, "start": kept}
    place = settings.out / "cuts" / folder_name(name)
    cut = CutStart(folder=place, depth=depth, width=share)
    return distil(settings, name, how, changes, cut=cut)
