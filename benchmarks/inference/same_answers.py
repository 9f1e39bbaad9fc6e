"""The answers of our pipelines beside those of `transformers`, on fine-tuned models and real rows.

    python benchmarks/inference/same_answers.py --models RUNS --data DATA --out answers.jsonl

RUNS holds folders of `limbeck finetune` (`cola`, `sst2`, `mrpc`, `stsb`, `ner`, `squad`, `nli`,
`swag`) and beside them model folders: `filler`, a masked language model, and `encoder` and `mpnet`,
sentence models.
DATA holds each task's rows under the same names. What is not there is left out. One JSON object a
line: how many answers were compared, how many differ in a label, a word or a place, and the largest
difference of two numbers. `transformers` 5 has no pipelines for questions and for multiple choice:
there its models' logits go through the formula that our documentation states.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer

import limbeck

STRATEGIES = ("none", "simple", "first", "average", "max")
TOPICS = ["sports", "music", "animals", "a person outside"]
LONGEST_ANSWER = 15
Case = Callable[["Place"], Iterator[tuple[str, Any, Any]]]


@dataclass(frozen=True)
class Place:
    """Where a case finds what it needs.

    Attributes:
        model: A model folder.
        data: A folder with rows.
        count: How many of them are asked.
    """

    model: Path
    data: Path
    count: int

    def rows(self) -> list[dict[str, Any]]:
        """Returns the first validation rows."""
        with (self.data / "validation.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line, _ in zip(lines, range(self.count), strict=False)]

    def both(self, task: str, **options: Any) -> tuple[Any, Any]:
        """Returns our pipeline and that of `transformers`."""
        ours = limbeck.pipeline(task, self.model, device="cpu", **options)
        theirs = transformers.pipeline(
            task, model=str(self.model), device="cpu", dtype=torch.float32, **options
        )
        return ours, theirs


@dataclass
class Compared:
    """What two nests of lists, dictionaries, words and numbers have in common.

    Attributes:
        numbers: How many numbers were compared.
        largest: Largest difference of two of them.
        others: How many words, labels and places were.
        different: The first few of those that differ.
    """

    numbers: int = 0
    largest: float = 0.0
    others: int = 0
    different: list[str] = field(default_factory=list)

    def add(self, ours: Any, theirs: Any, where: str = "") -> None:
        """Compares two nests."""
        if isinstance(theirs, dict):
            if self._same(sorted(ours), sorted(theirs), where):
                for key, value in theirs.items():
                    self.add(ours[key], value, f"{where}.{key}")
        elif isinstance(theirs, list | tuple):
            if self._same(len(ours), len(theirs), where):
                for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                    self.add(one, other, f"{where}[{place}]")
        elif isinstance(theirs, float | np.floating | np.ndarray):
            one, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
            if self._same(one.shape, other.shape, where):
                self.numbers += one.size
                self.largest = max(self.largest, float(np.abs(one - other).max()))
        else:
            self._same(ours, theirs, where)

    def _same(self, ours: Any, theirs: Any, where: str) -> bool:
        self.others += 1
        if ours != theirs:
            self.different.append(f"{where}: {ours!r} for {theirs!r}")
        return bool(ours == theirs)


def classify(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """One text or two: all labels' scores."""
    ours, theirs = place.both("text-classification")
    rows = place.rows()
    if "sentence" in rows[0]:
        inputs: list[Any] = [row["sentence"] for row in rows]
    else:
        first, second = ("sentence1", "sentence2") if "sentence1" in rows[0] else _NLI
        inputs = [{"text": row[first], "text_pair": row[second]} for row in rows]
    options = {"top_k": None}
    yield "scores of all labels", ours(inputs, **options), theirs(inputs, **options)
    yield "the best label", ours(inputs), theirs(inputs)


_NLI = ("premise", "hypothesis")


def find_entities(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """Entities, by each way of joining tokens."""
    texts = [" ".join(row["tokens"]) for row in place.rows()]
    for strategy in STRATEGIES:
        ours, theirs = place.both("ner", aggregation_strategy=strategy)
        yield f"aggregation {strategy}", ours(texts), theirs(texts)


def sort_without_examples(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """Topics of captions, by a model of inference."""
    ours, theirs = place.both("zero-shot-classification")
    texts = [row["premise"] for row in place.rows()[: place.count // 4]]
    for multi_label in (False, True):
        options = {"candidate_labels": TOPICS, "multi_label": multi_label}
        yield f"multi_label {multi_label}", ours(texts, **options), theirs(texts, **options)


def fill(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """What may stand in place of the middle word, and of two words."""
    ours, theirs = place.both("fill-mask", top_k=10)
    mask = theirs.tokenizer.mask_token
    words = [row["sentence"].split() for row in place.rows()]
    words = [of for of in words if len(of) > 3]
    one = [" ".join([*of[: len(of) // 2], mask, *of[len(of) // 2 + 1 :]]) for of in words]
    two = [" ".join([mask, *of[1:-1], mask]) for of in words]
    yield "one mask", ours(one), theirs(one)
    yield "two masks", ours(two), theirs(two)


def read_features(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """Hidden states, and vectors of texts beside those of sentence-transformers."""
    texts = [row["sentence1"] for row in place.rows()]
    ours, theirs = place.both("feature-extraction")
    options = {"return_tensors": True}
    found = [one.numpy() for one in ours(texts, **options)]
    yield "hidden states", found, [one.numpy() for one in theirs(texts, **options)]
    library = SentenceTransformer(str(place.model), device="cpu")
    embed = limbeck.pipeline("embeddings", place.model, device="cpu")
    yield "vectors of texts", np.stack(embed(texts)), library.encode(texts)
    compare = limbeck.pipeline("sentence-similarity", place.model, device="cpu")
    source, others = texts[0], texts[1:]
    expected = library.similarity(library.encode([source]), library.encode(others))[0]
    found = compare(source_sentence=source, sentences=others)
    yield "similarities", found, expected.tolist()


def rerank(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """Sentences in the order in which they are like another, beside a `CrossEncoder`."""
    rows = place.rows()
    query, texts = rows[0]["sentence1"], [row["sentence2"] for row in rows]
    ours = limbeck.pipeline("reranking", place.model, device="cpu")
    library = CrossEncoder(str(place.model), device="cpu", activation_fn=torch.nn.Identity())
    ranked = library.rank(query, texts)
    expected = [{"index": one["corpus_id"], "score": float(one["score"])} for one in ranked]
    yield "order and scores", ours(query=query, texts=texts), expected


def choose(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """The ending that goes on best, by the softmax of the logits of `transformers`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(place.model)
    model = transformers.AutoModelForMultipleChoice.from_pretrained(place.model).eval()
    ours = limbeck.pipeline("multiple-choice", place.model, device="cpu", top_k=4)
    found, expected = [], []
    for row in place.rows():
        choices = [row[f"ending{number}"] for number in range(4)]
        contexts = [row["startphrase"]] * len(choices)
        inputs = tokenizer(contexts, choices, return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = model(**{name: tensor[None] for name, tensor in inputs.items()}).logits[0]
        scores = logits.softmax(-1).tolist()
        order = sorted(range(len(choices)), key=lambda place, of=scores: -of[place])
        expected.append([{"index": i, "choice": choices[i], "score": scores[i]} for i in order])
        found.append(ours(context=row["startphrase"], choices=choices))
    yield "choices and scores", found, expected


def answer(place: Place) -> Iterator[tuple[str, Any, Any]]:
    """Answers by a search through all spans, softmax over context and `[CLS]`, one window each."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(place.model)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(place.model).eval()
    options = {"align_to_words": False, "max_answer_len": LONGEST_ANSWER}
    ours = limbeck.pipeline("question-answering", place.model, device="cpu", **options)
    articles = json.loads((place.data / "validation.json").read_text(encoding="utf-8"))["data"]
    asked = [
        (question["question"], paragraph["context"])
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    found, expected = [], []
    for question, context in asked[: place.count]:
        inputs = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
        (offsets,) = inputs.pop("offset_mapping").tolist()
        if len(offsets) > 384:  # several windows: no single softmax
            continue
        with torch.no_grad():
            output = model(**inputs)
        inside = np.array([number == 1 for number in inputs.sequence_ids(0)])
        counted = torch.from_numpy(inside.copy())
        counted[0] = True
        start, end = (
            torch.where(counted, logits[0].double(), -torch.inf).softmax(-1).numpy()
            for logits in (output.start_logits, output.end_logits)
        )
        spans = np.triu(np.outer(start * inside, end * inside))
        spans -= np.triu(spans, LONGEST_ANSWER)
        first, last = np.unravel_index(spans.argmax(), spans.shape)
        begin, stop = offsets[first][0], offsets[last][1]
        score = float(spans[first, last])
        expected.append(
            {"score": score, "start": begin, "end": stop, "answer": context[begin:stop]}
        )
        found.append(ours(question=question, context=context))
    yield "answers and scores", found, expected


CASES: dict[str, tuple[str, Case]] = {
    "text-classification": ("cola", classify),
    "text-classification, reviews": ("sst2", classify),
    "text-classification, pairs": ("mrpc", classify),
    "text-classification, three labels": ("nli", classify),
    "text-classification, a number": ("stsb", classify),
    "zero-shot-classification": ("nli", sort_without_examples),
    "ner": ("ner", find_entities),
    "fill-mask": ("filler", fill),
    "feature-extraction, embeddings": ("encoder", read_features),
    "feature-extraction, embeddings, another family": ("mpnet", read_features),
    "reranking": ("stsb", rerank),
    "multiple-choice": ("swag", choose),
    "question-answering": ("squad", answer),
}
DATA = {"filler": "cola", "encoder": "stsb", "mpnet": "stsb"}
"""Where models have no rows of their own, whose they are asked."""


def compare_all(models: Path, data: Path, *, count: int) -> Iterator[dict[str, Any]]:
    """Yields what each case has found."""
    for task, (name, case) in CASES.items():
        folder = models / name
        folder = folder / "model" if (folder / "model").is_dir() else folder
        if not (folder / "config.json").is_file():
            continue
        for what, ours, theirs in case(Place(folder, data / DATA.get(name, name), count)):
            compared = Compared()
            compared.add(ours, theirs)
            yield {
                "task": task,
                "model": name,
                "what": what,
                "answers": len(theirs),
                "numbers": compared.numbers,
                "largest_difference": compared.largest,
                "others": compared.others,
                "different": len(compared.different),
                "first_different": compared.different[:3],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200, help="rows of each task")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    names = ("limbeck", "torch", "transformers", "sentence-transformers", "tokenizers")
    libraries = {name: version(name) for name in names}
    with given.out.open("w", encoding="utf-8") as out:
        for line in compare_all(given.models, given.data, count=given.count):
            out.write(json.dumps({**line, "libraries": libraries}) + "\n")
            out.flush()
            print(
                f"{line['task']}, {line['what']}: {line['answers']} answers, "
                f"{line['largest_difference']:.1e} in {line['numbers']:,} numbers, "
                f"{line['different']} of {line['others']:,} others differ"
            )


if __name__ == "__main__":
    main()
