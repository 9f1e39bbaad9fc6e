"""Lays out questions and the paragraphs that answer them, for retrieval and for reranking.

    python benchmarks/prepare_retrieval.py DATA runs/retrieval
    python benchmarks/prepare_retrieval.py DATA runs/retrieval --questions 1000

DATA is the folder of data sets that developers have beside the project. Made are BEIR's folders
(corpus.jsonl, queries.jsonl, qrels/test.tsv) `squad`, of SQuAD 1.1's development set, and
`xquad-de`, `xquad-es` and `xquad-zh`: each question's paragraph is the one that it was asked of.
`rerank` has a row a question of SQuAD's training articles, with its paragraph and others of the
same article, and of other articles for validation.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

BEIR = {
    "squad": "squad/v1.1/dev-v1.1.json",
    **{
        f"xquad-{language}": f"multilingual/xquad/xquad.{language}.json"
        for language in ("de", "es", "zh")
    },
}
RERANKED = {
    "train": "squad/v1.1/train_46_articles.json",
    "validation": "squad/v1.1/eval_13_articles.json",
}
NUM_NEGATIVES = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", metavar="DATA", type=Path, help="folder of data sets")
    parser.add_argument(
        "target", metavar="OUT", type=Path, help="a folder a data set is made in it"
    )
    parser.add_argument("--questions", type=int, help="of each set, drawn by chance; default: all")
    arguments = parser.parse_args()
    for name, file in BEIR.items():
        articles = read_articles(arguments.source / file)
        write_beir(arguments.target / name, articles, count=arguments.questions)
    for split, file in RERANKED.items():
        articles = read_articles(arguments.source / file)
        rows = draw(list(rerank(articles)), arguments.questions)
        write_lines(arguments.target / f"rerank/{split}.jsonl", rows)


def read_articles(path: Path) -> list[dict[str, Any]]:
    articles: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return articles


def write_beir(folder: Path, articles: Iterable[Mapping[str, Any]], *, count: int | None) -> None:
    """Writes all paragraphs, each text once, and some of the questions."""
    documents: dict[str, str] = {}
    questions = []
    for article in articles:
        for paragraph in article["paragraphs"]:
            name = documents.setdefault(paragraph["context"], f"p{len(documents)}")
            questions += [(qa["id"], qa["question"], name) for qa in paragraph["qas"]]
    questions = draw(questions, count)
    write_lines(
        folder / "corpus.jsonl",
        ({"_id": name, "title": "", "text": text} for text, name in documents.items()),
    )
    write_lines(folder / "queries.jsonl", ({"_id": i, "text": text} for i, text, _ in questions))
    lines = [f"{question}\t{document}\t1\n" for question, _, document in questions]
    (folder / "qrels").mkdir(exist_ok=True)
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels/test.tsv").write_text(header + "".join(lines), encoding="utf-8")


def rerank(articles: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields a row a question, the negatives by chance of the same article."""
    chance = random.Random(0)
    for article in articles:
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        for paragraph in article["paragraphs"]:
            others = [text for text in texts if text != paragraph["context"]]
            for qa in paragraph["qas"]:
                yield {
                    "query": qa["question"],
                    "positive": [paragraph["context"]],
                    "negative": chance.sample(others, min(NUM_NEGATIVES, len(others))),
                }


def draw(rows: list[Any], count: int | None) -> list[Any]:
    """Returns some of the rows, in their order."""
    if count is None or count >= len(rows):
        return rows
    return [rows[i] for i in sorted(random.Random(0).sample(range(len(rows)), count))]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
