"""What all commands share: options, and where words go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.train.progress import Progress

Flag = Parameter(negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command."""

    json: Annotated[bool, Flag, Parameter(help="Print one JSON object on stdout.")] = False
    quiet: Annotated[bool, Flag, Parameter(help="Show no progress.")] = False
    debug: Annotated[bool, Flag, Parameter(help="Show the traceback of an error.")] = False

    def progress(self) -> Progress:
        """Returns where long work reports: a bar on a terminal, lines elsewhere, or nothing."""
        from limbeck.terminal import open_progress

        return open_progress(quiet=self.quiet)

    def tell(self, *lines: str) -> None:
        """Prints the answer of a command for people; with `--json` the object stands in for it."""
        if not self.json:
            sys.stdout.writelines(f"{line}\n" for line in lines)


COMMON = Common()


def note(*lines: str) -> None:
    """Prints lines for people on stderr."""
    sys.stderr.writelines(f"{line}\n" for line in lines)


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


def align(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lays rows of cells out in columns.

    Example:
        >>> align([("a", "bb", "c"), ("aaa", "b", "")])
        ['a    bb  c', 'aaa  b']
    """
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in table]
