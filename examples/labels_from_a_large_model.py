"""Few labels, many texts: what a large language model says of them becomes a small encoder.

`label_with_a_large_model` is where the large model is asked; here it is a rule of thumb, so that
the example runs without one. Whatever it answers are rows of `{"text": ..., "label": ...}`.

The teacher is fine-tuned on these labels, and then labels more texts than the large model was
paid for: the student learns from its logits on all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import datasets

import limbeck

GOOD = ("good", "fine", "great", "best", "love", "wonderful", "moving", "funny")


def label_with_a_large_model(texts: list[str]) -> Iterator[dict[str, str]]:
    """Yields a label for each text; put the call of your model here."""
    for text in texts:
        words = text.lower().split()
        yield {"text": text, "label": "good" if any(word in GOOD for word in words) else "bad"}


def main(model: str, texts: list[str], *, num_labelled: int, **settings: object) -> None:
    """Labels some of the texts, trains a teacher on these, and a student on all.

    Args:
        model: Encoder to fine-tune.
        texts: Without labels.
        num_labelled: How many of them the large model labels; a quarter of them validate.
        settings: Of `limbeck.finetune`, such as `epochs`.
    """
    labelled = list(label_with_a_large_model(texts[:num_labelled]))
    cut = num_labelled // 4
    validation, train = labelled[:cut], labelled[cut:]

    teacher = limbeck.finetune(
        model, train, validation, role="teacher", label="teacher", **settings
    )
    print(teacher)

    student = limbeck.finetune(
        teacher,
        train,
        validation,
        transfer=[{"text": text} for text in texts[num_labelled:]],  # the teacher labels these
        teacher=teacher,
        keep_layers="lower",
        new_head=False,
        label="student",
        **settings,
    )
    print(student)
    report = student.report(teacher)
    print(report.headline)
    print("the page:", report.files["html"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", help="Folder with a model and data, for a run of seconds.")
    tiny = parser.parse_args().tiny
    if tiny:
        rows = datasets.load_dataset(f"{tiny}/reviews", split="train")
        main(f"{tiny}/my-bert", rows["sentence"][:], num_labelled=48, epochs=1)
    else:
        rows = datasets.load_dataset("stanfordnlp/imdb", split="unsupervised").shuffle(seed=0)
        main("google-bert/bert-base-uncased", rows["text"][:20_000], num_labelled=4_000)
