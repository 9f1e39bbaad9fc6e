"""Standard streams as a caller may leave them: closed, full, or in another encoding than UTF-8."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import suppress
from typing import Any

from limbeck.errors import MachineError
from limbeck.printable import UNSEEN, printable
from limbeck.system_errors import explain

# What may stand in JSON as it is, but not on a terminal or in UTF-8.
_ESCAPED_IN_JSON = re.compile(f"[{UNSEEN}\ud800-\udfff]")


def settle_streams() -> None:
    """Makes standard streams that are closed lead nowhere, and lets the others take any text."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file that is opened would be the standard stream
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_lines(*lines: str) -> None:
    """Writes lines for people to standard output.

    Raises:
        MachineError: If they can't be written, such as to a full disk.
    """
    _write("".join(f"{printable(line)}\n" for line in lines))


def write_json(value: Any) -> None:
    """Writes one JSON object to standard output; what it can't hold as it is stands escaped.

    Raises:
        MachineError: If it can't be written.
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = _ESCAPED_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    _write(text + "\n")


def note(*lines: str) -> None:
    """Writes lines for people to stderr, as far as that takes them."""
    with suppress(OSError):  # nobody is left to be told
        sys.stderr.writelines(f"{printable(line)}\n" for line in lines)


def flush_output() -> None:
    """Writes out what standard output still holds back.

    Raises:
        MachineError: If it can't be written.
    """
    _write("")


def drop_output() -> None:
    """Lets standard output lead nowhere, so that the end of the process does not try again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise MachineError(explain(error, path="standard output", writes=True)) from error
