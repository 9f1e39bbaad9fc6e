"""One command for each recipe; a new file in `limbeck/recipes` becomes a command by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from cyclopts import Parameter

from limbeck import listing
from limbeck.cli._common import COMMON, Common, Flag, note, split_arguments, summary_of
from limbeck.errors import SettingsError

ROOM = "limbeck.recipes"

_HOW = """
{summary}

limbeck {name} RUN.toml [key=value ...]
limbeck {name} PRESET [key=value ...]
limbeck {name} key=value ...

`limbeck init {name}` shows every setting with its default; `limbeck list presets` the presets. A
run that was interrupted goes on when the same command is given again.
"""

DryRun = Annotated[bool, Flag, Parameter(help="Show what would be done, and do nothing.")]


@dataclass(frozen=True)
class Command:
    """A function to run, and what the command line calls it."""

    name: str
    function: Callable[..., Any]
    help: str


def recipe_commands() -> list[Command]:
    """Returns a command for every recipe."""
    commands = []
    for module_name in listing.list_names(ROOM):
        name = module_name.replace("_", "-")
        summary = summary_of(ROOM, module_name)
        if name == "quickstart":
            commands.append(Command(name, quickstart, summary))
        else:
            help_text = _HOW.format(summary=summary, name=name).strip()
            commands.append(Command(name, _recipe_command(name), help_text))
    return commands


def _recipe_command(name: str) -> Callable[..., Any]:
    def command(
        *arguments: Annotated[str, Parameter(help="RUN.toml or PRESET, then key=value settings.")],
        dry_run: DryRun = False,
        common: Common = COMMON,
    ) -> dict[str, Any]:
        return run_recipe(name, arguments, dry_run=dry_run, common=common)

    return command


def quickstart(
    *settings: Annotated[str, Parameter(help="key=value settings; see: limbeck init quickstart.")],
    minutes: Annotated[float | None, Parameter(help="Time to spend.")] = None,
    teacher: Annotated[str | None, Parameter(help="Model folder or Hub id.")] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the run.")] = None,
    dry_run: DryRun = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Distil a shipped teacher, fine-tune student and baselines, and write the report."""
    flags = {"minutes": minutes, "teacher": teacher, "out": out}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    return run_recipe("quickstart", [*settings, *given], dry_run=dry_run, common=common)


def run_recipe(
    name: str, arguments: Sequence[str], *, dry_run: bool, common: Common
) -> dict[str, Any]:
    """Reads the settings of a recipe from the command line and runs it."""
    from limbeck.config import dump_toml, read_settings
    from limbeck.recipes._presets import list_presets

    plain, overrides = split_arguments(arguments)
    if len(plain) > 1:
        raise SettingsError(
            f"command line: {len(plain)} settings files given ({', '.join(plain)}); accepted: one "
            "RUN.toml or PRESET, then key=value settings"
        )
    module = listing.load(ROOM, name)
    settings = read_settings(
        module.SettingsType,
        Path(plain[0]) if plain else None,
        overrides,
        presets={preset.name: preset.path for preset in list_presets().values()},
        recipe=name,
    )
    if not dry_run:
        result: dict[str, Any] = module.run(settings, progress=common.progress())
        note(*_in_lines(module, result))
        return result
    planned = module.plan(settings) if hasattr(module, "plan") else None
    common.tell(dump_toml(settings, recipe=name))
    if planned is not None:
        common.tell("# What would be done:", *(f"#   {line}" for line in _flat_lines(planned)))
    values = settings.model_dump(mode="json")
    return {"dry_run": True, "recipe": name, "settings": values, "plan": planned}


def _in_lines(module: ModuleType, result: dict[str, Any]) -> list[str]:
    """Words a result: as the recipe does, if it does, otherwise its plain figures."""
    if hasattr(module, "summarise"):
        return str(module.summarise(result)).splitlines()
    return _flat_lines(result)


def _flat_lines(value: Any, name: str = "") -> list[str]:
    """Writes nested figures one a line, such as `seeds.0.validation.accuracy: 0.83`."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return [f"{name}: {value:.6g}" if isinstance(value, float) else f"{name}: {value}"]
    prefix = f"{name}." if name else ""
    return [line for key, item in items for line in _flat_lines(item, prefix + key)]
