"""What stands in a folder, but for times: two runs that did the same have equal snapshots."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_OF_TIME = re.compile(
    r".*_(at|seconds|ms|per_second)|since|process|command|rounds|speed.*|latency.*"
    r"|checksum|crc32|metrics_sha256|headline|findings|Latency.*|Teacher's latency.*|git"
)
"""Keys whose values are times, tell of them, or are checksums over them."""
_FOR_PEOPLE = re.compile(r".*\.(md|html|svg|png|csv|tsv)")
_FOR_PROGRAMS_OF_OTHERS = {"report.json", "compress.json"}
_OF_PROCESSES = {".lock", ".owner.json"}


def take_snapshot(folder: Path) -> dict[str, str]:
    """Returns what the files in a folder hold, by their paths; of those for people, nothing."""
    return {
        path.relative_to(folder).as_posix(): _describe(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _OF_PROCESSES
    }


def is_read_back(path: Path) -> bool:
    """Tells whether a file is one that we read."""
    is_ours = path.name not in _OF_PROCESSES | _FOR_PROGRAMS_OF_OTHERS
    return is_ours and not _FOR_PEOPLE.fullmatch(path.name)


def _describe(path: Path) -> str:
    if _FOR_PEOPLE.fullmatch(path.name):
        return "for people"
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        lines = content.split(b"\n") if path.suffix == ".jsonl" else [content]
        try:
            values = [_without_times(json.loads(line)) for line in lines if line]
            return json.dumps(values, sort_keys=True)
        except ValueError:
            pass
    return hashlib.sha256(content).hexdigest()


def _without_times(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_times(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {k: _without_times(inner) for k, inner in value.items() if not _OF_TIME.fullmatch(k)}
