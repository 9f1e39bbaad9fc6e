"""Makes a fine-tuned model faster: the smallest student that keeps 97 % of its accuracy.

Every run lies in `runs/`; started again with the same `out`, each goes on where it stopped.
"""

from __future__ import annotations

import argparse

import datasets

import limbeck


def main(model: str, data: datasets.DatasetDict, *, retain: float, **settings: object) -> None:
    """Fine-tunes a teacher, makes it smaller, and writes a page on what is kept.

    Args:
        model: Encoder to fine-tune.
        data: With the splits train, validation and, if there is one, test.
        retain: Share of the teacher's score that a student has to keep.
        settings: Of `limbeck.finetune`, such as `epochs`.
    """
    teacher = limbeck.finetune(
        model, data=data, out="runs/teacher", role="teacher", label="teacher", **settings
    )
    print(teacher)

    # Students of several depths start from the teacher's own layers and learn from its logits.
    student = limbeck.compress(teacher, retain=retain, out="runs/small", **settings)
    print(student)
    print("what was tried, and at what speed:", student.record.files["html"])

    classify = student.pipeline()
    print(classify(["a fine film", "a dull plot"]))
    student.save_pretrained("small-model")  # or student.push_to_hub("me/small-model")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", help="Folder with a model and data, for a run of seconds.")
    tiny = parser.parse_args().tiny
    if tiny:
        reviews = datasets.load_dataset(f"{tiny}/reviews")
        # In so few steps a tiny model learns with large ones only.
        short: dict[str, object] = {"epochs": 10, "batch_size": 8, "learning_rate": 3e-3}
        main(f"{tiny}/my-bert", reviews, retain=0.1, **short)
    else:
        sentences = datasets.load_dataset("nyu-mll/glue", "sst2").select_columns(
            ["sentence", "label"]
        )
        del sentences["test"]  # its labels are not public
        main("google-bert/bert-base-uncased", sentences, retain=0.97)
