"""The stages of a chain as jobs, each with the earlier stages whose models it takes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from limbeck import listing
from limbeck.config import read_options
from limbeck.errors import SettingsError, did_you_mean
from limbeck.recipes._jobs import Job
from limbeck.recipes._settings import RunSettings
from limbeck.recipes._tasks.folders import folder_name, require_own_folders
from limbeck.recipes.chain.settings import ChainSettings

RECIPE = "recipe"
_OF_THE_CHAIN = "out"


@dataclass(frozen=True, kw_only=True)
class Stage(Job):
    """One stage.

    Attributes:
        given: Its settings as they were given, a stage's model by the stage's name.
        takes: Earlier stages whose models it takes, by setting.
    """

    given: Mapping[str, Any]
    takes: Mapping[str, str]

    @property
    def model(self) -> Path:
        """Where its model is, or will be."""
        return self.folder / "model"

    @property
    def is_finished(self) -> bool:
        """Whether it has run with just these settings, and left a model."""
        return self.model.is_dir() and super().is_finished

    @property
    def module(self) -> ModuleType:
        """The recipe."""
        return listing.load("limbeck.recipes", self.recipe)

    def with_models(self, models: Mapping[str, Path], *, out: Path) -> Stage:
        """Returns the same stage with its settings as they are for given folders.

        Args:
            models: The model of each earlier stage that it takes.
            out: Its run folder.
        """
        values = _put(self.given, {s: str(models[stage]) for s, stage in self.takes.items()})
        return replace(self, settings=_read(self.module, values, out=out, name=self.name))


def list_stages(settings: ChainSettings) -> list[Stage]:
    """Returns the stages in their order, each after the one before it.

    Raises:
        SettingsError: If a recipe is none or makes no model, a stage's settings are wrong, or it
            names a stage that has not run before it.
    """
    require_own_folders(settings.stages, where="stages")
    stages: dict[str, Stage] = {}
    for name, given in settings.stages.items():
        previous = next(reversed(stages), None)
        stages[name] = _make_stage(settings, name, given, earlier=stages, after=previous)
    _require_use(settings, stages)
    return list(stages.values())


def _make_stage(
    settings: ChainSettings,
    name: str,
    given: Mapping[str, Any],
    *,
    earlier: Mapping[str, Stage],
    after: str | None,
) -> Stage:
    recipe, module = _find_recipe(name, given)
    if _OF_THE_CHAIN in given:
        raise SettingsError(
            f"stages.{name}.out is for the chain to decide, which has a folder for each stage in "
            "its own; leave it out"
        )
    shared = {k: v for k, v in settings.shared.items() if k in module.SettingsType.model_fields}
    values = {**shared, **{k: v for k, v in given.items() if k != RECIPE}}
    out = settings.out / "stages" / folder_name(name)
    named = _read(module, values, out=out, name=name).named_models()
    takes = {setting: model for setting, model in named.items() if model in settings.stages}
    for setting, model in named.items():
        where = f"stages.{name}.{setting} = '{model}'"
        if setting in takes:
            _require_earlier(where, model, name, earlier)
        else:
            _refuse_misspelt(where, model, earlier)
    models = {setting: str(earlier[model].model) for setting, model in takes.items()}
    return Stage(
        name=name,
        recipe=recipe,
        settings=_read(module, _put(values, models), out=out, name=name),
        after=after,
        given=values,
        takes=takes,
    )


def _find_recipe(name: str, given: Mapping[str, Any]) -> tuple[str, ModuleType]:
    """Returns the recipe of a stage, one that makes a model."""
    room = listing.ROOMS["recipes"]
    names = [name.replace("_", "-") for name in listing.list_names(room)]  # as records have them
    accepted = ", ".join(n for n in names if hasattr(listing.load(room, n), "prepare_model"))
    asked = given.get(RECIPE)
    if not isinstance(asked, str):
        raise SettingsError(
            f"stages.{name} does not say what it runs; give stages.{name}.recipe = one of "
            f"{accepted}"
        )
    recipe = asked.replace("_", "-")
    if recipe not in names:
        raise SettingsError(
            f"stages.{name}.recipe = '{asked}' is no recipe.{did_you_mean(recipe, names)} "
            f"Accepted: {accepted}"
        )
    module = listing.load(room, recipe)
    if not hasattr(module, "prepare_model"):
        raise SettingsError(
            f"stages.{name}: limbeck {asked} makes no model that another stage could take; "
            f"accepted: {accepted}"
        )
    return recipe, module


def _read(module: ModuleType, values: dict[str, Any], *, out: Path, name: str) -> RunSettings:
    made: RunSettings = read_options(
        module.SettingsType, {**values, _OF_THE_CHAIN: str(out)}, name=f"stages.{name}"
    )
    return made


def _require_earlier(where: str, model: str, name: str, earlier: Mapping[str, Stage]) -> None:
    """Refuses a stage that has not run by then, and a name that might be two things.

    Raises:
        SettingsError: If so.
    """
    if model not in earlier:
        what = "the stage itself" if model == name else "a stage that comes after it"
        before = ", ".join(earlier) or "none, since it is the first"
        raise SettingsError(
            f"{where} is {what}; accepted: a stage before it ({before}), or a model's folder or "
            "Hub id"
        )
    if Path(model).is_dir():
        raise SettingsError(
            f"{where} is a stage, and there is a folder of that name here; write './{model}' for "
            "the folder, or give the stage another name"
        )


def _refuse_misspelt(where: str, model: str, earlier: Mapping[str, Stage]) -> None:
    """Refuses what is nearly an earlier stage's name, rather than ask the Hub for it.

    Raises:
        SettingsError: If so.
    """
    hint = did_you_mean(model, earlier)
    if hint and not Path(model).exists():
        raise SettingsError(
            f"{where} is no stage before it and no folder.{hint} Accepted: {', '.join(earlier)}; "
            "where a model of the Hub is meant, give that stage a name that is less like it"
        )


def _require_use(settings: ChainSettings, stages: Mapping[str, Stage]) -> None:
    """Refuses a shared setting that no stage has."""
    known = {name for s in stages.values() for name in s.module.SettingsType.model_fields}
    for name in settings.shared:
        if name not in known or name == _OF_THE_CHAIN:
            raise SettingsError(
                f"shared.{name} is a setting of none of the stages' recipes "
                f"({', '.join(dict.fromkeys(s.recipe for s in stages.values()))})."
                f"{did_you_mean(name, known)}"
            )


def _put(given: Mapping[str, Any], models: Mapping[str, str]) -> dict[str, Any]:
    """Returns settings with models in the place of the stages' names.

    Example:
        >>> _put({"teacher": "first", "augment": {"model": "first"}}, {"augment.model": "runs/a"})
        {'teacher': 'first', 'augment': {'model': 'runs/a'}}
    """
    values = deepcopy(dict(given))
    for setting, model in models.items():
        table: Any = values
        *parts, last = (int(part) if part.isdigit() else part for part in setting.split("."))
        for part in parts:
            table = table[part]
        table[last] = model
    return values
