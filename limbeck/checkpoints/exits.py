"""What a model folder says of early exits, in `exits.json` beside `exits.safetensors`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from limbeck.errors import CheckpointError, LimbeckError, SettingsError
from limbeck.files.typed import TypedFile

EXITS_NAME: Final = "exits.json"
EXIT_WEIGHTS_NAME: Final = "exits.safetensors"

Uncertainty = Literal["entropy", "probability", "change"]
"""What tells how unsure an exit is; `limbeck.models` has the formulas."""


class ExitInfo(TypedFile):
    """Where a model has exits, and when an input leaves by one.

    The model itself stands in the folder as any other does: who does not know of exits reads it
    whole.
    """

    FILE_NAME: ClassVar[str] = EXITS_NAME
    REMEDY: ClassVar[str] = (
        f"copy {{folder}} again from where it came, or remove {EXITS_NAME} and {EXIT_WEIGHTS_NAME}"
        ", which leaves the model without exits"
    )

    layers: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """After how many layers there is an exit, from the lowest up."""
    uncertainty: Uncertainty
    """What is measured at each exit."""
    bound: float = Field(ge=0)
    """An input leaves by the first exit where its uncertainty is below; with 0 none does."""
    weights_checksum: str | None = None
    """Of the model's tensors that the exits were trained on, as `model.safetensors` has it; None
    where that has none."""

    @field_validator("layers")
    @classmethod
    def _require_order(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if any(low >= high for low, high in pairwise(layers)):
            raise ValueError(f"{list(layers)}; accepted: layers from the lowest up, each once")
        return layers

    @model_validator(mode="after")
    def _require_bound(self) -> Self:
        require_bound(self.bound, uncertainty=self.uncertainty)
        return self


def require_bound(bound: float, *, uncertainty: Uncertainty) -> None:
    """Refuses a bound that no uncertainty is measured against.

    Raises:
        SettingsError: If it is below 0, or above 1 where uncertainty lies between 0 and 1.
    """
    if bound < 0 or (bound > 1 and uncertainty != "change"):
        accepted = "0 or more" if uncertainty == "change" else "0 to 1"
        raise SettingsError(f"bound = {bound:g}; accepted for {uncertainty}: {accepted}")


def holds_exits(folder: Path) -> bool:
    """Tells whether a model folder has early exits.

    Raises:
        CheckpointError: If it has one of their two files without the other.
    """
    there = {name: (folder / name).is_file() for name in (EXITS_NAME, EXIT_WEIGHTS_NAME)}
    if len(set(there.values())) > 1:
        found, missing = sorted(there, key=lambda name: not there[name])
        raise CheckpointError(
            f"{folder} has {found}, but no {missing}, and only both are early exits: copy it again "
            f"from where it came, or remove {found}, which leaves the model without exits"
        )
    return all(there.values())


def require_no_exits(folder: Path, why: str, *, error: type[LimbeckError] = SettingsError) -> None:
    """Refuses a model folder with early exits, which would be lost without a word.

    Args:
        folder: The folder.
        why: Why none of them would be left.
        error: Of which type the error is.

    Raises:
        LimbeckError: If it has them.
    """
    if holds_exits(folder):
        raise error(
            f"{folder} has early exits, and {why}, so that nothing of them would be left; accepted:"
            " the folder of the model that was given to limbeck early-exit, or a copy of this one "
            f"without {EXITS_NAME} and {EXIT_WEIGHTS_NAME}, which holds the same model"
        )
