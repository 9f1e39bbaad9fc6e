"""What was asked of a run, with what, on what: `run.json`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from limbeck.config import Settings
from limbeck.files.typed import Part, TypedFile


class Hardware(Part):
    """The machine of a run."""

    cpu: str
    """Name of the processor."""
    num_cores: int | None
    """Its cores."""
    num_usable_cores: int
    """Those that the process may use."""
    memory_bytes: int | None
    """Memory of the machine; None where the system does not say."""
    gpus: tuple[str, ...]
    """Names of the accelerators that torch sees."""
    num_threads: int
    """Threads that torch uses."""
    system: str
    """The operating system."""


class GitState(Part):
    """The state of the checkout that Limbeck runs from."""

    commit: str
    """Hash of the commit."""
    branch: str | None
    """Name of the branch; `HEAD` where there is none."""
    dirty: bool
    """Whether files differ from the commit."""


class RunRecord(TypedFile):
    """A run, as it was begun."""

    FILE_NAME: ClassVar[str] = "run.json"
    REMEDY: ClassVar[str] = "give another out=..., or remove {folder} to start over"

    recipe: str
    """Name of the recipe."""
    settings: dict[str, Any]
    """The resolved settings."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of what models, corpora and data hold that the settings name, by setting."""
    limbeck_version: str
    """Version of Limbeck."""
    versions: dict[str, str]
    """Versions of Python and of the libraries that decide figures."""
    seed: int | None
    """The seed, of a recipe that has one."""
    hardware: Hardware
    """The machine."""
    git: GitState | None
    """Limbeck's own checkout; None where Limbeck is installed."""
    command: str
    """The command line."""
    started_at: str
    """When it was begun, UTC."""
    resumed_at: tuple[str, ...] = ()
    """When it was begun again."""

    def settings_of(self, settings_type: type[Settings]) -> dict[str, Any]:
        """Returns the settings, those that came up after the run at their defaults."""
        defaults = settings_type.model_construct().model_dump(mode="json", warnings=False)
        return {**defaults, **self.settings}
