"""Collects sentences for embeddings to be distilled on: none of STS-B or SICK, which score them.

    python benchmarks/prepare_sentences.py DATA runs/sentences

Writes `train.jsonl` and, of the same sources, `validation.jsonl` (`text` and `source` a line). DATA
is the folder of data sets that developers have beside the project: captions of SNLI, questions of
QQP and QNLI, MNLI's pairs, film reviews of IMDb, and running text. A sentence that stands in STS-B
or SICK, whatever its case and last full stop, is left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PAIRS = {
    "snli": ("glue/snli/*.jsonl", ("premise", "hypothesis")),
    "qqp": ("glue/qqp_subset/train.jsonl", ("question1", "question2")),
    "mnli": ("glue/mnli/validation_matched.jsonl", ("premise", "hypothesis")),
    "qnli": ("glue/qnli/validation.jsonl", ("question", "sentence")),
}
RUNNING = {
    "wikipedia": ("corpus/wikipedia*.gz", 40_000),
    "openstax": ("corpus/openstax*.gz", 15_000),
    "novels": ("corpus/novels*.gz", 15_000),
    "speeches": ("corpus/speeches*.gz", 4_000),
    "imdb": ("imdb/train-00*.gz", 15_000),
}
"""Files of texts, and at most how many sentences are drawn of them."""
SCORED = ("glue/stsb/*.jsonl", "glue/sick/*.jsonl")
WORDS_OF_A_SENTENCE = range(4, 41)
NUM_VALIDATION = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="DATA", type=Path, help="folder of data sets")
    parser.add_argument("target", metavar="OUT", type=Path, help="where the two files are made")
    parser.add_argument("--most-words", type=int, default=40, help="leave out longer sentences")
    arguments = parser.parse_args()
    source, target = arguments.source, arguments.target
    draw = random.Random(0)
    found: dict[str, str] = {}
    for name, sentences in _read(source, draw):
        for sentence in sentences:
            plain = " ".join(sentence.split())
            if len(plain.split()) in WORDS_OF_A_SENTENCE:
                found.setdefault(plain, name)
    scored = {_key(text) for text in _scored(source)}
    rows = [{"text": t, "source": name} for t, name in found.items() if _key(t) not in scored]
    draw.shuffle(rows)
    target.mkdir(parents=True, exist_ok=True)
    for split, part in (
        ("validation", rows[:NUM_VALIDATION]),
        ("train", rows[NUM_VALIDATION:]),
    ):
        part = [row for row in part if len(row["text"].split()) <= arguments.most_words]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (target / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{split}: {len(part):,} sentences, {dict(Counter(r['source'] for r in part))}")
    print(f"left out, since STS-B or SICK has them: {len(found) - len(rows)}")


def _read(source: Path, draw: random.Random) -> Iterator[tuple[str, Iterable[str]]]:
    for name, (pattern, columns) in PAIRS.items():
        for row in _rows(source, pattern):
            yield name, (row[column] for column in columns)
    for name, (pattern, most) in RUNNING.items():
        sentences = [s for row in _rows(source, pattern) for s in _sentences(row["text"])]
        draw.shuffle(sentences)
        yield name, sentences[:most]


def _sentences(text: str) -> Iterator[str]:
    for paragraph in text.replace("<br />", " ").split("\n"):
        yield from re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", paragraph)


def _scored(source: Path) -> Iterator[str]:
    for pattern in SCORED:
        for row in _rows(source, pattern):
            yield from (value for value in row.values() if isinstance(value, str))


def _key(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


def _rows(source: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(source.glob(pattern)):
        opened = gzip.open if path.suffix == ".gz" else Path.open
        with opened(path, "rt", encoding="utf-8") as file:  # type: ignore[operator]
            yield from map(json.loads, file)


if __name__ == "__main__":
    main()
