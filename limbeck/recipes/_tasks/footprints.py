"""What models take of memory, side by side: each loaded in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from limbeck.errors import LimbeckError
from limbeck.inference.footprint import Footprint, measure_footprint
from limbeck.report import figures
from limbeck.train import Progress

TORCH = "torch"


def measure_memory(
    models: Mapping[str, Path],
    *,
    device: str,
    progress: Progress,
    engines: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Footprint]:
    """Returns what each takes of memory, by its label.

    What can't be measured is left out, which is told: what was made is not lost for it.

    Args:
        models: Model folders, by their labels.
        device: Where they are loaded.
        progress: Where it is told.
        engines: What runs those that are not run by torch, by their labels.
    """
    name = "cpu" if device == "auto" else device
    found = {}
    with progress.stage("Measuring memory", total=len(models), unit="models") as stage:
        for label, folder in models.items():
            try:
                engine = engines.get(label, TORCH)
                found[label] = measure_footprint(folder, name=engine, device=name)
            except LimbeckError as error:
                progress.log(f"memory was not measured: {label}: {error}")
            stage.advance()
    return found


def describe_memory(before: Footprint, after: Footprint) -> str | None:
    """Says in a sentence what two models take of memory; None where the system does not tell."""
    found = [one.loaded_bytes for one in (after, before)]
    peaks = [one.peak_bytes for one in (after, before)]
    if None in (*found, *peaks):
        return None
    loaded, whole, peak, highest = (figures.file_size(n) for n in (*found, *peaks) if n is not None)
    return (
        f"Loaded in torch it takes {loaded} of memory, the model as it was given {whole}; with "
        f"Python, libraries and a batch of 8 rows of 128 tokens a process has at most {peak} and "
        f"{highest}."
    )
