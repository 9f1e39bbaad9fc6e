"""Ours: `limbeck.pipeline` as it comes, on the model's folder and on what is exported of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from peers import Run
from workloads import Text

import limbeck
from limbeck.export import load_graph, load_target, write_export
from limbeck.recipes.export.rows import encode_texts, read_texts

TASKS = {"classify": "text-classification", "answer": "question-answering"}
TARGETS = ("onnx", "onnx-int8", "openvino", "openvino-int8")


def find_ours(folder: Path, use: str, *, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    """Yields the model in torch and each export, in the pipeline's default settings."""
    yield "limbeck", _run(folder, use, threads)
    for name in TARGETS:
        try:
            yield f"limbeck {name}", _run(export(folder, name, work), use, threads)
        except limbeck.LimbeckError as error:
            print(f"# left out: limbeck {name} of {folder.name}: {error}", flush=True)


def export(folder: Path, target: str, work: Path) -> Path:
    """Returns the folder of an export, made as `limbeck export` does unless it is there.

    Its check is left out: a model with random weights has no answers to keep.
    """
    place = work / f"limbeck-{folder.name}-{target}"
    if not (place / "export.json").exists():
        graph, tokenizer = load_graph(folder), limbeck.AutoTokenizer.from_pretrained(folder)
        texts = read_texts(None, text_field="text")
        rows = encode_texts(texts, graph, tokenizer, count=128, max_length=128)
        write_export(folder, place, load_target(target), calibration=rows.batches)
    return place


def _run(folder: Path, use: str, threads: int) -> Run:
    pipe = limbeck.pipeline(TASKS[use], model=folder, num_threads=threads)

    def run(texts: Sequence[Text]) -> object:
        if use == "answer":
            questions, contexts = zip(*texts, strict=True)
            return pipe(question=list(questions), context=list(contexts))
        return pipe(list(texts))

    return run
