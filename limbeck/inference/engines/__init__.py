"""Engines: ways to run a model, one public module each, whose `EngineType` is all that is needed.

The module's name is the engine's name, as in `pipeline(model=..., engine="torch")`.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from limbeck import listing
from limbeck.inference.engines._engine import Batch, Engine, Limits, Outputs
from limbeck.models import Kind

__all__ = ["Batch", "Engine", "Limits", "Outputs", "load_engine"]


def load_engine(name: str, model: str | Path, *, kind: Kind, device: str = "auto") -> Engine:
    """Makes a model folder or Hub model ready to be run.

    Args:
        name: The engine's, as `limbeck list engines` shows it.
        model: A model folder, or a Hub id.
        kind: Which head the model has.
        device: `auto`, or a device that the engine knows.

    Raises:
        SettingsError: If there is no such engine or device; the message lists what there is.
        CheckpointError: If the model can't be read.
    """
    engine_type = listing.load(listing.ROOMS["engines"], name).EngineType
    return cast(Engine, engine_type.load(model, kind=kind, device=device))
