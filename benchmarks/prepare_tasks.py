"""Lays out the data of the suites beside it: a folder a task, with text for a teacher to label.

    python benchmarks/prepare_tasks.py DATA runs/data
    python benchmarks/prepare_tasks.py DATA runs/labelled --labelled-only

DATA is the folder of data sets that developers have beside the project. Test splits whose labels
GLUE's server keeps are left out; IMDb gets a validation split of its last 2,500 training reviews.
`transfer.jsonl`, text without labels, comes from other data sets: pairs of questions and captions
for MRPC, STS-B and RTE, sentences of IMDb's training reviews for SST-2. `--labelled-only` makes
none, and no test splits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

COPIED = {
    "cola": ("glue/cola", ("train", "validation")),
    "sst2": ("glue/sst2", ("train", "validation")),
    "rte": ("glue/rte", ("train", "validation")),
    "wnli": ("glue/wnli", ("train", "validation")),
    "qqp": ("glue/qqp_subset", ("train", "validation")),
    "mrpc": ("glue/mrpc", ("train", "validation", "test")),
    "stsb": ("glue/stsb", ("train", "validation", "test")),
    "ner": ("ner/wikiann_en", ("train", "validation", "test")),
    "codah": ("multiple_choice/codah/fold0", ("train", "validation", "test")),
}
SQUAD = {"train": "train_46_articles.json", "validation": "eval_13_articles.json"}
NUM_IMDB_VALIDATION = 2_500
NUM_SENTENCES = 48_000
WORDS_OF_A_SENTENCE = range(5, 31)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="DATA", type=Path, help="folder of data sets")
    parser.add_argument("target", metavar="OUT", type=Path, help="a folder a task is made in it")
    parser.add_argument("--labelled-only", action="store_true", help="no transfer or test splits")
    arguments = parser.parse_args()
    source, target, labelled_only = arguments.source, arguments.target, arguments.labelled_only
    for task, (folder, splits) in COPIED.items():
        (target / task).mkdir(parents=True, exist_ok=True)
        for split in splits[:2] if labelled_only else splits:
            shutil.copyfile(source / folder / f"{split}.jsonl", target / task / f"{split}.jsonl")
    (target / "squad").mkdir(exist_ok=True)
    for split, name in SQUAD.items():
        shutil.copyfile(source / "squad/v1.1" / name, target / "squad" / f"{split}.json")

    reviews = list(_read_reviews(source, "train"))
    train, validation = reviews[:-NUM_IMDB_VALIDATION], reviews[-NUM_IMDB_VALIDATION:]
    _write(target / "imdb/train.jsonl", train)
    _write(target / "imdb/validation.jsonl", validation)
    if labelled_only:
        return
    _write(target / "imdb/test.jsonl", _read_reviews(source, "test"))

    sentences = sorted(set(_sentences(row["text"] for row in train)))
    random.Random(0).shuffle(sentences)
    _write(target / "sst2/transfer.jsonl", ({"sentence": s} for s in sentences[:NUM_SENTENCES]))
    captions = _pairs(source / "glue/snli/validation.jsonl", "premise", "hypothesis")
    questions = _pairs(source / "glue/qqp_subset/train.jsonl", "question1", "question2")
    _write(target / "rte/transfer.jsonl", captions)
    for task in ("mrpc", "stsb"):
        _write(target / task / "transfer.jsonl", [*questions, *captions])


def _read_reviews(source: Path, split: str) -> Iterator[dict[str, Any]]:
    for path in sorted((source / "imdb").glob(f"{split}*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield {"text": row["text"], "label": row["label"]}


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        plain = re.sub(r"\s+", " ", text.replace("<br />", " "))
        for sentence in re.split(r"(?<=[.!?])\s+", plain):
            if len(sentence.split()) in WORDS_OF_A_SENTENCE:
                yield sentence


def _pairs(path: Path, first: str, second: str) -> list[dict[str, str]]:
    rows = map(json.loads, filter(None, path.read_text(encoding="utf-8").split("\n")))
    return [{"sentence1": row[first], "sentence2": row[second]} for row in rows]


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
