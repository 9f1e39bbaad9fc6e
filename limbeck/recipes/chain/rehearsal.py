"""A chain gone through before it is run: each stage on models like those that it will be given.

A stage's input is trained only when the stages before it have run, but what it will be is known
now: its architecture, its head, its tokenizer and its labels are those of the model that the stage
before starts to train. That model, as it stands before its first step, stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.recipes._jobs import find_waiting
from limbeck.recipes.chain.stages import Stage


def rehearse(stages: Sequence[Stage], *, out: Path, plans: bool = False) -> dict[str, Any]:
    """Checks the stages that are to run, in their order.

    Args:
        stages: All stages of the chain.
        out: The chain's folder.
        plans: Whether to return what each would do, as its own dry run says it.

    Raises:
        LimbeckError: As the stage would, with its name.
    """
    waiting = find_waiting(stages)
    found: dict[str, Any] = {}
    with TemporaryDirectory(prefix="limbeck-") as place:
        models: dict[str, Path] = {}

        def words(text: str) -> str:
            return text.replace(place, str(out))

        for number, stage in enumerate(stages):
            if stage not in waiting:
                found[stage.name] = {"run": "finished"}
                models[stage.name] = stage.model
                continue
            takes_unmade = any(name in {s.name for s in waiting} for name in stage.takes.values())
            looked_at = stage
            if takes_unmade:
                folder = Path(place) / stage.folder.relative_to(out)
                looked_at = stage.with_models(models, out=folder)
            try:
                write = stage.module.prepare_model(looked_at.settings)
                if plans:
                    planned = stage.module.plan(looked_at.settings)
                    found[stage.name] = _map_texts(planned, words)
            except LimbeckError as error:
                raise type(error)(f"stages.{stage.name}: {words(str(error))}") from error
            if any(stage.name in later.takes.values() for later in stages[number + 1 :]):
                models[stage.name] = Path(place) / stage.model.relative_to(out)
                write(models[stage.name])
    return found


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _map_texts(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(inner, change) for inner in value]
    return value
