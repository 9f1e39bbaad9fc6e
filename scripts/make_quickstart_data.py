"""Chooses the text and copies the task that `limbeck quickstart` ships, with attribution.

    python scripts/make_quickstart_data.py SHARED_DATA

SHARED_DATA is a folder with `corpus/` and `quickstart/`. Only parts under CC BY 4.0 and in the
public domain are taken; the choice depends on nothing but the text, so it can be repeated.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).parent.parent / "limbeck/recipes/quickstart/data"
CHARACTERS = {"openstax": 1_300_000, "novels": 1_300_000, "speeches": 200_000}
EXCERPT = 20_000
LICENCES = {"CC BY 4.0", "public domain", "public domain (US government work)"}


def read_parts(source: Path, kind: str) -> Iterator[dict[str, str]]:
    """Yields a beginning of each document, at most `EXCERPT` characters of whole paragraphs."""
    for path in sorted(source.glob(f"corpus/{kind}-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                if document["licence"] not in LICENCES:
                    raise SystemExit(f"{path}: licence {document['licence']}")
                text = document["text"][:EXCERPT]
                if len(text) == EXCERPT:
                    text = text.rpartition("\n\n")[0] or text.rpartition(". ")[0] + "."
                yield {"text": text, "source": document["source"], "licence": document["licence"]}


def choose(source: Path, kind: str) -> list[dict[str, str]]:
    """Returns parts in the order of a hash of their text, up to the kind's share."""
    chosen, length = [], 0
    key = lambda part: hashlib.sha256(part["text"].encode()).digest()  # noqa: E731
    for part in sorted(read_parts(source, kind), key=key):
        if length + len(part["text"]) <= CHARACTERS[kind] and len(part["text"]) > 2000:
            chosen.append(part)
            length += len(part["text"])
    return chosen


def write_gzip(path: Path, text: str) -> None:
    """Writes without name and time, so that the same text gives the same bytes."""
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{path.name}: {len(text):,} characters, {path.stat().st_size:,} bytes")


def main() -> None:
    """Writes all files."""
    source = Path(sys.argv[1])
    OUT.mkdir(parents=True, exist_ok=True)
    parts = [part for kind in CHARACTERS for part in choose(source, kind)]
    lines = "".join(json.dumps(part, ensure_ascii=False) + "\n" for part in parts)
    write_gzip(OUT / "text.jsonl.gz", lines)
    for split in ("train", "validation", "test"):
        rows = (source / f"quickstart/{split}.jsonl").read_text(encoding="utf-8")
        (OUT / f"{split}.jsonl").write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
