"""Ours: `limbeck.pipeline` as it comes, on the model's folder and on what is exported of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from peers import Run
from workloads import Text

import limbeck
from limbeck.export import export_model, load_target

TASKS = {"classify": "text-classification", "answer": "question-answering"}
TARGETS = ("onnx", "onnx-int8", "openvino", "openvino-int8")


def find_ours(folder: Path, use: str, *, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    """Yields the model in torch and each export, in the pipeline's default settings."""
    yield "limbeck", _run(folder, use, threads)
    for name in TARGETS:
        try:
            place = work / f"limbeck-{folder.name}-{name}"
            if not (place / "export.json").exists():
                export_model(folder, place, load_target(name))
            yield f"limbeck {name}", _run(place, use, threads)
        except limbeck.LimbeckError as error:
            print(f"# left out: limbeck {name} of {folder.name}: {error}", flush=True)


def _run(folder: Path, use: str, threads: int) -> Run:
    pipe = limbeck.pipeline(TASKS[use], model=folder, num_threads=threads)

    def run(texts: Sequence[Text]) -> object:
        if use == "answer":
            questions, contexts = zip(*texts, strict=True)
            return pipe(question=list(questions), context=list(contexts))
        return pipe(list(texts))

    return run
