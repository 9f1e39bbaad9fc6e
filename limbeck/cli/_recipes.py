"""One command for each recipe; a new file in `limbeck/recipes` becomes a command by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from limbeck import listing
from limbeck.cli._common import (
    COMMON,
    Common,
    Flag,
    describe_plan,
    flatten,
    note,
    split_arguments,
)
from limbeck.cli._flags import flags_to_settings
from limbeck.cli._outline import outline_settings, summary_of
from limbeck.errors import ContractError, SettingsError, did_you_mean

ROOM = listing.ROOMS["recipes"]
_LISTS = (tuple[str, ...], tuple[str, ...] | None)
"""Types of settings that may be given several times, a word each."""

if TYPE_CHECKING:
    from limbeck.config import Settings
    from limbeck.runs import ResultRecord

_HOW = """
{summary}

limbeck {name} RUN.toml [key=value ...]
limbeck {name} PRESET [key=value ...]
limbeck {name} [MODEL] key=value ...

MODEL, a folder or Hub id, stands for model=MODEL where there is such a
setting; a preset counts before a folder of its name, which is then ./NAME.
`--key value` and `--key=value` are other ways to write key=value; a key of
several words, as max_length, is --max-length there.
`limbeck list presets` shows the presets. The same command given again goes on
with a run that was interrupted, from what it has kept. `--dry-run` says what
would be done; `--settings > run.toml` writes all settings, given and not,
into a file.
"""
_OTHERS = "Those most used; `limbeck init {name}` shows all, given in the same way."
_OWN_FLAGS = ("--dry-run", "--settings", "--json", "--quiet", "--debug", "--help")

DryRun = Annotated[bool, Flag, Parameter(help="Show what would be done, and do nothing.")]
ShowSettings = Annotated[
    bool, Flag, Parameter(name="--settings", help="Print all settings as a file to run; no more.")
]


@dataclass(frozen=True)
class Command:
    """A function to run, and what the command line calls it."""

    name: str
    function: Callable[..., Any]
    help: str


def recipe_commands(words: Container[str]) -> list[Command]:
    """Returns a command for every recipe; those among the words know their settings."""
    commands = []
    for module_name in listing.list_names(ROOM):
        name, module = module_name.replace("_", "-"), f"{ROOM}.{module_name}"
        help_text = _HOW.format(summary=summary_of(module), name=name).strip()
        settings = list(_shown_parameters(name, module)) if name in words else []
        commands.append(Command(name, _recipe_command(name, settings), help_text))
    return commands


def _recipe_command(name: str, settings: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    def command(
        *arguments: Annotated[
            str,
            Parameter(
                help="RUN.toml, PRESET or MODEL, then settings.",
                allow_leading_hyphen=True,  # settings as flags
            ),
        ],
        dry_run: DryRun = False,
        show_settings: ShowSettings = False,
        common: Common = COMMON,
    ) -> dict[str, Any]:
        return run_recipe(
            name, arguments, dry_run=dry_run, show_settings=show_settings, common=common
        )

    signature = inspect.signature(command)
    parameters = [*signature.parameters.values(), *settings]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _shown_parameters(name: str, module: str) -> Iterator[inspect.Parameter]:
    """Yields the settings that a recipe's help shows; all are read from the plain arguments."""
    group = Group("Settings", help=_OTHERS.format(name=name), sort_key=1)
    for setting in outline_settings(module):
        yield inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=setting.default,
            annotation=Annotated[
                str | None,
                Parameter(
                    name=f"--{setting.name.replace('_', '-')}",
                    help=setting.about if setting.default else f"{setting.about} [required]",
                    group=group,
                    metavar="",
                    parse=False,
                    show=True,
                    show_default=setting.default not in (None, "none"),
                ),
            ],
        )


def _plan(module: ModuleType, settings: Settings, common: Common) -> dict[str, Any]:
    """Returns what a recipe would do; one that times models for that reports it."""
    takes = "progress" in inspect.signature(module.plan).parameters
    told = {"progress": common.progress()} if takes else {}
    planned: dict[str, Any] = module.plan(settings, **told)
    return planned


def run_recipe(
    name: str,
    arguments: Sequence[str],
    *,
    dry_run: bool,
    show_settings: bool = False,
    common: Common,
) -> dict[str, Any]:
    """Reads the settings of a recipe from the command line and runs it, or says what would be."""
    from limbeck.config import dump_changes, dump_toml

    name, settings = _read_arguments(name, arguments)
    if show_settings:
        text = dump_toml(settings, recipe=name)
        common.tell(text.rstrip("\n"))
        return {"recipe": name, "toml": text}
    module = listing.load(ROOM, name)
    if dry_run:
        planned = _plan(module, settings, common) if hasattr(module, "plan") else {}
        common.tell(*describe_plan(planned, dump_changes(settings)))
        values = settings.model_dump(mode="json")
        return {"dry_run": True, "recipe": name, "settings": values, "plan": planned}
    try:
        result: ResultRecord = module.run(settings, progress=common.progress())
    except ContractError as error:
        note(*_in_lines(module, error.result))
        raise
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_word_interruption(settings)) from error
    lines, folders = _in_lines(module, result), _name_folders(settings)
    note(*lines)
    note(*(f"The {k}: {v}" for k, v in folders.items() if not any(v in line for line in lines)))
    return {**result.to_dict(), "folders": folders} if folders else result.to_dict()


def _read_arguments(name: str, arguments: Sequence[str]) -> tuple[str, Settings]:
    """Returns the recipe that a command's arguments ask for, and its settings."""
    from limbeck.config import read_settings
    from limbeck.recipes._presets import list_presets

    fields = listing.load(ROOM, name).SettingsType.model_fields
    plain, overrides = split_arguments(
        flags_to_settings(
            arguments,
            own_flags=_OWN_FLAGS,
            switches=[n for n, field in fields.items() if field.annotation is bool],
            lists=[n for n, field in fields.items() if field.annotation in _LISTS],
        )
    )
    if len(plain) > 1:
        raise SettingsError(
            f"command line: {len(plain)} settings files given ({', '.join(plain)}); accepted: one "
            "RUN.toml or PRESET, then key=value settings"
        )
    suites = [o.removeprefix("suite=") for o in overrides if o.startswith("suite=")]
    if name == "evaluate" and suites:
        name = "suite"  # `limbeck evaluate --suite glue` trains what it evaluates
        if not plain and suites[-1] in list_presets(recipe="suite"):
            plain = [suites[-1]]
    module = listing.load(ROOM, name)
    presets = {preset.name: preset.path for preset in list_presets().values()}
    is_preset = bool(plain) and plain[0] in list_presets(recipe=name)
    is_free = "model" in module.SettingsType.model_fields and not any(
        override.startswith("model=") for override in overrides
    )
    if is_preset:
        pass  # also where a folder of that name lies here, such as the data of `glue`
    elif plain and is_free and _is_model(plain[0], presets):
        plain, overrides = [], [f"model={plain[0]}", *overrides]
    elif plain and Path(plain[0]).is_dir():
        given = "model" if "model" in module.SettingsType.model_fields else "models"
        raise SettingsError(
            f"command line: {plain[0]} is a folder; limbeck {name} takes RUN.toml or a preset there"
            + (f", and folders as {given}=..." if given in module.SettingsType.model_fields else "")
        )
    settings: Settings = read_settings(
        module.SettingsType,
        Path(plain[0]) if plain else None,
        overrides,
        presets=presets,
        recipe=name,
    )
    return name, settings


def _word_interruption(settings: Settings) -> str:
    """Says what the same command does after an interruption, by what stands in the run's folder."""
    from limbeck.runs import describe_begun

    out = getattr(settings, "out", None)
    return "interrupted" if out is None else f"interrupted; {describe_begun(out)}"


def _name_folders(settings: Settings) -> dict[str, str]:
    """Returns where a finished run has left what: its folder, and the model in it, if any."""
    out = getattr(settings, "out", None)
    if out is None:
        return {}
    folders = {"run": out, "model": out / "model"}
    return {name: str(folder) for name, folder in folders.items() if folder.is_dir()}


def _is_model(name: str, presets: Collection[str]) -> bool:
    """Tells whether a plain argument is a model folder, Hub id or rows, not (misspelt) settings."""
    from limbeck.sources import known_format

    path = Path(name)
    if path.is_dir() or (path.is_file() and known_format(path, reader="tasks") is not None):
        return True
    is_toml = path.suffix == ".toml" or did_you_mean(path.suffix, [".toml"])  # or was meant to be
    if name in presets or path.is_file() or is_toml:
        return False
    return not did_you_mean(name, [*presets, *(str(file) for file in path.parent.glob("*.toml"))])


def _in_lines(module: ModuleType, result: ResultRecord) -> list[str]:
    """Formats a result: as the recipe does, if it does, otherwise its plain figures."""
    if hasattr(module, "summarise"):
        return str(module.summarise(result)).splitlines()
    return [f"{name}: {value}" for name, value in flatten(result.to_dict())]
