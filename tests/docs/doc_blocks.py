"""Finds the code blocks of a Markdown file, and what an HTML comment before them says of testing.

Every block of `console`, `bash`, `sh` or `python` is run, in the order of the file and in one
folder, unless a comment right before it says otherwise:

- `<!-- test: skip: REASON -->`: not run. The reason is required.
- `<!-- test: dry-run -->`: each `limbeck` command is run with `--dry-run`, and of each `make`
  command it is checked that the Makefile has its target.

`<!-- test: setup: NAME -->` anywhere runs `NAME.py` beside this file, which makes what the
blocks work on; `<!-- test: setup` ... `-->` holds shell commands that readers do not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

RUN, SKIP, DRY_RUN = "run", "skip", "dry-run"
SHELLS = ("console", "bash", "sh", "shell")

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)\s*(\S*).*$")
_MARKER = re.compile(r"^<!--\s*test:\s*(.*?)\s*-->$")
_NAMED_SETUP = re.compile(r"^<!--\s*test:\s*setup:\s*(\w+)\s*-->$")
_SETUP = re.compile(r"^<!--\s*test:\s*setup\s*$")


@dataclass(frozen=True)
class Block:
    """A piece of a document to run.

    Attributes:
        line: Line on which its text begins, from 1.
        language: `python` or one of `SHELLS`.
        text: What to run.
        mode: `run`, `skip` or `dry-run`.
        reason: Why it is skipped.
    """

    line: int
    language: str
    text: str
    mode: str = RUN
    reason: str = ""


def find_blocks(markdown: str) -> list[Block]:
    """Returns the blocks of a document in order.

    Raises:
        ValueError: If a comment is not understood, or a fence is not closed; with the line.
    """
    blocks: list[Block] = []
    lines = markdown.splitlines()
    mode, reason = RUN, ""
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if _SETUP.match(line):
            end = _find(lines, number, lambda text: text.strip() == "-->")
            blocks.append(Block(number + 1, "bash", "\n".join(lines[number:end])))
            number = end + 1
        elif setup := _NAMED_SETUP.match(line):
            blocks.append(Block(number, "bash", f"python '{HERE / setup[1]}.py'"))
        elif marker := _MARKER.match(line):
            mode, reason = _parse_marker(marker[1], number)
        elif fence := _FENCE.match(lines[number - 1]):
            opening, language = fence[1], fence[2].lower()
            end = _find(lines, number, lambda text: text.strip().startswith(opening))  # noqa: B023
            if language in (*SHELLS, "python"):
                text = "\n".join(lines[number:end])
                if language == "console":
                    text = _commands(text)
                blocks.append(Block(number + 1, language, text, mode, reason))
            number = end + 1
            mode, reason = RUN, ""
        elif line:
            mode, reason = RUN, ""
    return blocks


def _parse_marker(text: str, number: int) -> tuple[str, str]:
    if text == DRY_RUN:
        return DRY_RUN, ""
    word, _, reason = text.partition(":")
    if word.strip() == SKIP and reason.strip():
        return SKIP, reason.strip()
    raise ValueError(f"line {number}: 'test: {text}' is not one of skip: REASON, dry-run, setup")


def _find(lines: list[str], start: int, matches: object) -> int:
    assert callable(matches)
    for number in range(start, len(lines)):
        if matches(lines[number]):
            return number
    raise ValueError(f"line {start}: what begins here has no end")


def _commands(text: str) -> str:
    """Keeps what stands after `$ `, with the lines that a backslash continues; drops output."""
    commands: list[str] = []
    continued = False
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif continued:
            commands.append(line)
        else:
            continue
        continued = line.endswith("\\")
    return "\n".join(commands)


def split_commands(text: str) -> list[str]:
    """Returns the commands of a shell text: continued lines joined, no comments, no blanks."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and line.strip()[0] != "#"]


def find_links(markdown: str) -> list[str]:
    """Returns the targets of links and images that are files."""
    targets = re.findall(r"\]\(([^)\s]+)", markdown)
    targets += re.findall(r"<img[^>]*src=\"([^\"]+)\"", markdown)
    return [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


def documents(root: Path) -> list[Path]:
    """Returns the README and the documents of a project."""
    return sorted(
        [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("benchmarks/**/*.md")]
    )
