"""What all commands share: options, and where words go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._streams import note, write_lines
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.train.progress import Progress

Flag = Parameter(negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command."""

    json: Annotated[bool, Flag, Parameter(help="Print one JSON object on stdout.")] = False
    quiet: Annotated[bool, Flag, Parameter(help="Show no progress and no notes on the way.")] = (
        False
    )
    debug: Annotated[bool, Flag, Parameter(help="Show the traceback of an error.")] = False

    def progress(self) -> Progress:
        """Returns where long work reports: a bar on a terminal, lines elsewhere, or nothing."""
        from limbeck.terminal import open_progress

        return open_progress(quiet=self.quiet)

    def tell(self, *lines: str) -> None:
        """Prints the answer of a command for people; with `--json` the object stands in for it."""
        if not self.json:
            write_lines(*lines)


COMMON = Common()

__all__ = ["COMMON", "Common", "Flag", "align", "note", "split_arguments"]


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divides arguments into plain ones and `key=value` settings.

    Raises:
        SettingsError: If a plain one comes after a setting.
    """
    from limbeck.config import is_override

    plain: list[str] = []
    settings: list[str] = []
    for argument in arguments:
        if is_override(argument):
            settings.append(argument)
        elif settings:
            raise SettingsError(
                f"command line: '{argument}' comes after the setting '{settings[-1]}'; accepted: "
                "files and names first, then key=value. A value with spaces stands in quotes."
            )
        else:
            plain.append(argument)
    return plain, settings


def describe_plan(
    planned: Mapping[str, Any], changes: str, *, all_settings: str = "--settings"
) -> list[str]:
    """Lays out a dry run: what would be done, then what was asked for.

    Args:
        planned: What would be done; what is None or empty is left out, and a list of entries of
            one kind becomes a table.
        changes: The settings that are not at their defaults, one a line.
        all_settings: What shows all of them.
    """
    tables = {name: value for name, value in planned.items() if _is_table(value)}
    rest = {name: value for name, value in planned.items() if name not in tables}
    rows = [(name, value) for name, value in flatten(rest) if value not in ("None", "")]
    lines = ["This would be done, and nothing is done now:"]
    lines += [f"  {line}" for line in align((f"{name}:", value) for name, value in rows)]
    for name, entries in tables.items():
        cells = [[_word(cell) for cell in entry.values()] for entry in entries]
        lines += [f"  {name}:", *(f"    {line}" for line in align([list(entries[0]), *cells]))]
    lines += [f"Settings that are not the defaults ({all_settings} shows all):"]
    return [*lines, *(f"  {line}" for line in changes.splitlines())]


def _is_table(value: Any) -> bool:
    """Tells whether a value is a list of entries that all have the same fields, none nested."""
    if not isinstance(value, list) or not value or not all(isinstance(e, dict) for e in value):
        return False
    cells = [cell for entry in value for cell in entry.values()]
    is_flat = not any(isinstance(cell, dict | list) for cell in cells)
    return is_flat and len({tuple(entry) for entry in value}) == 1


def _word(cell: Any) -> str:
    return "-" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yields nested figures by name, such as `seeds.0.validation.accuracy` and `0.83`."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(i, dict | list) for i in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value))
        return
    else:
        yield name, f"{value:.6g}" if isinstance(value, float) else str(value)
        return
    for key, item in items:
        yield from flatten(item, f"{name}.{key}" if name else key)


def align(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lays rows of cells out in columns.

    Example:
        >>> align([("a", "bb", "c"), ("aaa", "b", "")])
        ['a    bb  c', 'aaa  b']
    """
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in table]
