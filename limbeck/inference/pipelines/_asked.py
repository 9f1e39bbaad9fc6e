"""What a pipeline is asked to run: a folder, a Hub id, a model or an engine, looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.checkpoints import read_config, resolve_folder
from limbeck.errors import CheckpointError, SettingsError
from limbeck.inference.engines import Engine, fetch_folder
from limbeck.models._kinds import REPLACED_TOKENS, Kind, find_kind

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from limbeck.models import Model

    Source = str | Path | Model | Engine
    """A model folder, a Hub id, a model, or an engine that holds one."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model, before its weights are read.

    Attributes:
        given: As it was given.
        name: What messages call it.
        folder: Where it is; None of a model in memory.
        architecture: The name of its class, None where the folder does not give it.
        kind: Which head it has, None where nobody knows.
        hub: How to fetch it: `revision`, `token`, `cache_dir`, `offline`.
    """

    given: Source
    name: str
    folder: Path | None
    architecture: str | None
    kind: Kind | None
    hub: Mapping[str, Any]

    def fetch(self, engine: str | None = None, *, precision: str | None = None) -> Path:
        """Returns the folder, now with what an engine runs.

        Args:
            engine: Its name; by default whatever runs weights.
            precision: Which of several files.

        Raises:
            CheckpointError: If they can't be fetched.
        """
        assert isinstance(self.given, str | Path)
        return fetch_folder(self.given, engine, precision=precision, **self.hub)


def is_model(given: object) -> TypeIs[Model]:
    """Tells whether it is a model in memory; what needs no torch imports none."""
    if isinstance(given, str | Path | Engine):
        return False
    from limbeck.models import Model

    return isinstance(given, Model)


def look_at(given: Source, hub: Mapping[str, Any]) -> Asked:
    """Looks at a model without reading its weights.

    Args:
        given: A model folder, a Hub id, a model, or an engine.
        hub: How to fetch it.

    Raises:
        SettingsError: If a model in memory is to be fetched.
        CheckpointError: If the folder or the Hub's model can't be read.
    """
    if isinstance(given, Engine) or is_model(given):
        for option, value in hub.items():
            raise SettingsError(
                f"{option} = {value!r}: it is for models of the Hub, and a model object is given; "
                f"leave {option} out"
            )
        class_name = given.facts.class_name if isinstance(given, Engine) else type(given).__name__
        return Asked(
            given=given,
            name="MODEL",
            folder=None,
            architecture=class_name,
            kind=given.kind,
            hub=hub,
        )
    folder = resolve_folder(given, weights=False, **hub)
    config = read_config(folder)
    names = config.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else None
    return Asked(
        given=given,
        name=str(given),
        folder=folder,
        architecture=architecture,
        kind=_find_kind(config.get("model_type"), architecture or ""),
        hub=hub,
    )


def fetch_default(model: str, task: str, hub: Mapping[str, Any]) -> Asked:
    """Looks at the Hub's model that a pipeline takes where none is named.

    Raises:
        CheckpointError: If it can't be fetched; the message says how to do without a network.
    """
    try:
        return look_at(model, hub)
    except CheckpointError as error:
        raise CheckpointError(
            f"no model is named, so that the {task} pipeline takes {model} from the Hub: "
            f"{str(error).rstrip('.')}. Without a network give a model folder, as in "
            f"pipeline('{task}', model='FOLDER'); or fetch the model once where there is one, with "
            f"`hf download {model}`, and set HF_HUB_OFFLINE=1, or give offline=True, to use what "
            "the cache has"
        ) from error


def _find_kind(family: object, architecture: str) -> Kind | None:
    kind = find_kind(architecture)
    if kind is not REPLACED_TOKENS:
        return kind
    # Only the family knows what it calls so; its module needs torch.
    from limbeck.models import find_own_kind
    from limbeck.models._auto import known_families

    is_ours = isinstance(family, str) and family.replace("-", "_") in known_families()
    return find_own_kind(str(family), architecture) if is_ours else kind
