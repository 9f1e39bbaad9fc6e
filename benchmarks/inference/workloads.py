"""What is run: real texts, as a user would give them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Text = str | tuple[str, str]


def read_workload(name: str, data: Path, *, count: int) -> tuple[str, list[Text]]:
    """Returns which use a workload is of, and its texts in an order drawn once.

    Args:
        name: `sst2`, `imdb`, `squad` or `mixed`.
        data: The developers' folder of data sets.
        count: How many texts.
    """
    draw = random.Random(0)
    if name == "squad":
        return "answer", draw.sample(_read_questions(data / "squad/v1.1/dev-v1.1.json"), count)
    sentences = _column(data / "glue/sst2/validation.jsonl", "sentence")
    reviews = _column(data / "imdb/test.jsonl", "text")
    if name == "sst2":
        return "classify", draw.sample(sentences, count)
    if name == "imdb":
        return "classify", draw.sample(reviews, count)
    paragraphs = [context for _, context in _read_questions(data / "squad/v1.1/dev-v1.1.json")]
    third = -(-count // 3)
    mixed = [*draw.sample(sentences, third), *draw.sample(reviews, third)]
    mixed += draw.sample(sorted(set(paragraphs)), third)
    draw.shuffle(mixed)
    return "classify", mixed[:count]


def _column(path: Path, name: str) -> list[Any]:
    files = [path] if path.exists() else sorted(path.parent.glob(f"{path.stem}-*.jsonl.gz"))
    found = []
    for file in files:
        open_file = gzip.open if file.suffix == ".gz" else open
        with open_file(file, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)[name] for line in lines]
    return found


def _read_questions(path: Path) -> Sequence[tuple[str, str]]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [
        (question["question"], paragraph["context"])
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
