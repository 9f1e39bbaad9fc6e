"""Random predictions of every kind, for the contract tests; a kind without an entry fails."""

from __future__ import annotations

from limbeck.metrics import Answers, Classes, LabelSets, Numbers, Rankings, Tags

NAMES = ("no", "yes", "maybe", "never")
_TAGS = ["O", "O", "B-X", "I-X", "B-Y"]


def make_classes(random, count, *, num_labels):
    names = NAMES[:num_labels]
    labels = [*names, *random.choice(names, size=count)]
    return [{"label": str(a), "prediction": str(random.choice(names))} for a in labels]


def make_numbers(random, count, *, num_labels):
    labels = [0.0, 1.0, *random.integers(0, 9, size=count).astype(float)]
    return [{"label": a, "prediction": a + float(random.integers(-3, 4))} for a in labels]


def make_label_sets(random, count, *, num_labels):
    names = NAMES[:num_labels]
    labels = [list(names), *([n for n in names if random.random() < 0.4] for _ in range(count))]
    records = []
    for label in labels:
        # few different scores, so that some tie
        scores = random.integers(0, 10, size=num_labels) / 10
        predicted = [name for name, value in zip(names, scores, strict=True) if value >= 0.5]
        records.append({"label": label, "prediction": predicted, "scores": scores.tolist()})
    return records


def make_tags(random, count, *, num_labels):
    labels = [["B-X", "I-X"], *(list(random.choice(_TAGS, size=4)) for _ in range(count))]
    return [
        {"label": [str(t) for t in tags], "prediction": [str(t) for t in random.permutation(tags)]}
        for tags in labels
    ]


def make_answers(random, count, *, num_labels):
    exact = [1.0, *random.integers(0, 2, size=count).astype(float)]
    return [
        {"label": ["rain"], "prediction": "rain", "exact_match": e, "f1": max(e, f1)}
        for e, f1 in zip(exact, random.integers(0, 5, size=count + 1) / 4, strict=True)
    ]


def make_rankings(random, count, *, num_labels):
    """Queries over 40 documents, with relevances up to `num_labels`; some are not found."""
    records = []
    for _ in range(count + 1):
        found = random.permutation(40)[: random.integers(1, 40)]
        relevant = random.choice(40, size=random.integers(1, 9), replace=False)
        judged = {f"d{i}": int(random.integers(0, num_labels + 1)) for i in relevant}
        judged[f"d{relevant[0]}"] = 1  # so that each query has one
        order = [f"d{i}" for i in found]
        records.append({"label": judged, "prediction": order, "scores": [0.5] * len(order)})
    return records


MAKERS = {
    Classes: make_classes,
    Numbers: make_numbers,
    LabelSets: make_label_sets,
    Tags: make_tags,
    Answers: make_answers,
    Rankings: make_rankings,
}


def make_perfect(record):
    """Returns a record that says what is right."""
    perfect = record | {"prediction": record["label"]}
    if isinstance(record["label"], dict):
        order = sorted(record["label"], key=record["label"].get, reverse=True)
        return perfect | {"prediction": order}
    if "scores" in record:
        names = NAMES[: len(record["scores"])]
        perfect["scores"] = [float(name in record["label"]) for name in names]
    if "f1" in record:
        perfect |= {"prediction": record["label"][0], "exact_match": 1.0, "f1": 1.0}
    return perfect
