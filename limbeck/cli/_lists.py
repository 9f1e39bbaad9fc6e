"""What there is: lists of the rooms, and settings files to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from limbeck import listing
from limbeck.cli._common import COMMON, Common, align
from limbeck.cli._outline import summary_of
from limbeck.errors import SettingsError, did_you_mean

PRESETS = "presets"
_METHOD_TABLES = {
    "methods": "[[start]]  # one step of a student's start, in distill and finetune",
    "sparsity": "[sparsify]  # of finetune",
}
"""Where the settings of a method stand in those of a run, by the method's room."""

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[(*listing.ROOMS, PRESETS)]


def list_room(
    kind: Annotated[
        Kind | None, Parameter(help="What to list; by default the kinds there are.")
    ] = None,
    *,
    common: Common = COMMON,
) -> dict[str, Any]:
    """List what there is of a kind, such as losses, by the names that settings use."""
    from limbeck.recipes._presets import list_presets

    if kind is None:
        names = {room: _shown_names(package) for room, package in listing.ROOMS.items()}
        names[PRESETS] = list(list_presets())
        common.tell(*align((f"limbeck list {room}", ", ".join(n)) for room, n in names.items()))
        return {"kinds": names}
    if kind == PRESETS:
        presets = list_presets().values()
        entries = [{"name": p.name, "recipe": p.recipe, "summary": p.summary} for p in presets]
    else:
        room = listing.ROOMS[kind]
        entries = [
            {"name": listing.spell_name(room, n), "summary": summary_of(f"{room}.{n}")}
            for n in listing.list_names(room)
        ]
    if entries:
        common.tell(*align(list(entry.values()) for entry in entries))
    return {kind: entries}


def _shown_names(room: str) -> list[str]:
    return [listing.spell_name(room, name) for name in listing.list_names(room)]


def init(
    name: Annotated[str, Parameter(help="A recipe, a preset, a task or a method.")],
    *,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Print settings to start from: of a recipe, a preset (`> run.toml`), a task or a method."""
    from limbeck.config import dump_toml
    from limbeck.recipes._presets import list_presets
    from limbeck.tasks import load_task

    presets, rooms = list_presets(), listing.ROOMS
    recipes = _shown_names(rooms["recipes"])
    tasks = listing.list_names(rooms["tasks"])
    if name.replace("-", "_") in tasks:
        options = dump_toml(load_task(name).settings)
        text = f"[task_options]  # of {name}; as a flag: --task-options.NAME VALUE\n{options}"
        common.tell(text.rstrip("\n"))
        return {"task": name, "toml": text}
    methods: list[str] = []
    for room, table in _METHOD_TABLES.items():
        methods += (found := listing.list_names(rooms[room]))
        if name.replace("-", "_") in found:
            text = f"{table}\n{dump_toml(listing.load(rooms[room], name).SettingsType)}"
            common.tell(text.rstrip("\n"))
            return {"method": name, "toml": text}
    if name in presets:
        recipe, text = presets[name].recipe, presets[name].path.read_text(encoding="utf-8")
    elif name.replace("_", "-") in recipes:
        recipe = name.replace("_", "-")
        text = dump_toml(listing.load(rooms["recipes"], recipe).SettingsType, recipe=recipe)
    else:
        raise SettingsError(
            f"there is no recipe, preset, task or method '{name}'."
            f"{did_you_mean(name, [*recipes, *presets, *tasks, *methods])} "
            f"Recipes: {', '.join(recipes)}. Presets: {', '.join(presets) or 'none'}. "
            f"Tasks: {', '.join(tasks)}. Methods: {', '.join(methods)}."
        )
    common.tell(text.rstrip("\n"))
    return {"recipe": recipe, "toml": text}
