"""A general checkpoint for a domain: its texts, a distilled masked language model, a first task.

The texts may come from anywhere, one after the other: they are never all in memory. The domain
here is reviews of films: 50,000 of them, and sentences of others as the task.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import datasets

import limbeck


def main(
    teacher: str,
    texts: Iterable[str],
    data: str | datasets.DatasetDict,
    *,
    distil: dict[str, object],
    **settings: object,
) -> None:
    """Builds a corpus, distils on it, and fine-tunes the student on a task of the domain.

    Args:
        teacher: Masked language model.
        texts: Of the domain.
        data: A task of the domain.
        distil: Settings of `limbeck.distill`, such as `max_epochs`.
        settings: Of `limbeck.finetune`, such as `epochs`.
    """
    corpus = limbeck.build_corpus(texts, tokenizer=teacher, deduplicate=True, heldout_ratio=0.05)
    print(f"{corpus.info.splits['train'].num_tokens:,} tokens in {corpus.folder}")

    student = limbeck.distill(teacher, corpus, **distil)
    print("held out, after the last step:", student.scores)

    tuned = limbeck.finetune(student, data=data, **settings)
    print(tuned)
    print("scored again, prediction by prediction:", limbeck.evaluate(tuned).folder)


def read_files(folder: Path) -> Iterator[str]:
    """Yields the paragraphs of all text files of a folder."""
    for path in sorted(folder.glob("**/*.txt")):
        yield from path.read_text(encoding="utf-8").split("\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", help="Folder with a model and data, for a run of seconds.")
    tiny = parser.parse_args().tiny
    if tiny:
        short: dict[str, object] = {"max_steps": 4, "batch_size": 8, "sequence_length": 32}
        reviews = datasets.load_dataset(f"{tiny}/reviews")
        main(f"{tiny}/my-bert", read_files(Path(tiny, "text")), reviews, distil=short, epochs=1)
    else:
        stream = datasets.load_dataset("stanfordnlp/imdb", split="unsupervised", streaming=True)
        main(
            "google-bert/bert-base-uncased",
            (row["text"] for row in stream),
            datasets.load_dataset("cornell-movie-review-data/rotten_tomatoes"),
            distil={"max_epochs": 3},
        )
