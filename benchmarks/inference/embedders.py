"""Texts a second of a sentence encoder on a CPU: ours beside what people use, in turns.

    python benchmarks/inference/embedders.py --data DATA --model FOLDER --out embedders.jsonl

What `measure.py` is for classifiers: the same workloads, rounds and figures. Each library in its
default settings with all of the machine's cores, `sentence-transformers` in each of its backends,
for which it needs `optimum-onnx` and `optimum-intel`. `model2vec` looks vectors up in a table: it
stands for what no encoder reaches.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from measure import COUNTS, measure
from ours import export
from peers import Run
from workloads import Text, read_workload

import limbeck

LIBRARIES = ("torch", "transformers", "sentence-transformers", "onnxruntime", "openvino")
LIBRARIES += ("optimum-onnx", "optimum-intel", "fastembed", "model2vec")
TARGETS = ("onnx", "onnx-int8", "openvino", "openvino-int8")
LEAST_COSINE = 0.95
"""To the vectors of `sentence-transformers` in torch; int8 is the farthest from them."""


def find_all(folder: Path, work: Path) -> Iterator[tuple[str, Run]]:
    """Yields each contestant's name, and what runs it; one that can't run the model is told."""
    for find in (_ours, _sentence_transformers, _fastembed, _model2vec):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield from find(folder, work)
        except Exception as error:  # whatever a library raises, the others are compared
            print(f"# left out: {find.__name__} of {folder.name}: {error!r:.300}", flush=True)


def _ours(folder: Path, work: Path) -> Iterator[tuple[str, Run]]:
    yield "limbeck", limbeck.SentenceEncoder(folder).encode
    for name in TARGETS:
        place = export(folder, name, work)
        yield f"limbeck {name}", limbeck.SentenceEncoder(place).encode


def _sentence_transformers(folder: Path, work: Path) -> Iterator[tuple[str, Run]]:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    name = "sentence-transformers"
    yield name, SentenceTransformer(str(folder), device="cpu").encode
    for backend in ("onnx", "openvino"):
        place = work / f"{name}-{backend}-{folder.name}"
        if not place.exists():
            SentenceTransformer(str(folder), backend=backend).save_pretrained(str(place))
        yield f"{name} {backend}", SentenceTransformer(str(place), backend=backend).encode
    place = work / f"{name}-onnx-{folder.name}"
    file = "onnx/model_qint8_avx512_vnni.onnx"
    if not (place / file).exists():
        model = SentenceTransformer(str(place), backend="onnx")
        export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(place))
    yield (
        f"{name} onnx int8",
        SentenceTransformer(str(place), backend="onnx", model_kwargs={"file_name": file}).encode,
    )


def _fastembed(folder: Path, work: Path) -> Iterator[tuple[str, Run]]:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    place, name = export(folder, "onnx", work), f"local/{folder.name}"
    size = json.loads((place / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=size,
        model_file="onnx/model.onnx",
    )
    model = TextEmbedding(name, specific_model_path=str(place))
    yield "fastembed", lambda texts: np.stack(list(model.embed(list(texts))))


def _model2vec(folder: Path, _work: Path) -> Iterator[tuple[str, Run]]:
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((tokenizer.get_vocab_size(), 256), dtype=np.float32)
    yield "model2vec (a table)", StaticModel(vectors, tokenizer).encode


def _keep_same(runs: dict[str, Run], texts: Sequence[Text]) -> dict[str, Run]:
    """Leaves out who computes something else, as by cutting texts elsewhere.

    What looks vectors up in a table is no encoder, and stays.
    """
    kept, known = {}, np.asarray(runs["sentence-transformers"](texts))
    for name, run in runs.items():
        lowest = (known * np.asarray(run(texts))).sum(axis=1).min() if "table" not in name else 1
        if lowest < LEAST_COSINE:
            print(f"# left out: {name} has a cosine of {lowest:.4f}", flush=True)
        else:
            kept[name] = run
    return kept


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder with mean pooling")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/inference"))
    parser.add_argument("--workloads", nargs="+", default=["sst2", "mixed"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    machine = {"date": time.strftime("%Y-%m-%d"), "machine": platform.processor()}
    machine |= {name: version(name) for name in LIBRARIES}
    runs = dict(find_all(options.model, options.work))
    for workload in options.workloads:
        _, texts = read_workload(workload, options.data, count=COUNTS[workload])
        same = _keep_same(runs, texts[:12])
        for line in measure(same, texts, rounds=options.rounds, num_single=12):
            line = {"model": options.model.name, "workload": workload} | line
            print(
                f"{workload:6} {line['contestant']:34} {line['texts_per_second']:8.1f}/s  "
                f"{line['latency_ms']:7.1f} ms",
                flush=True,
            )
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | machine) + "\n")


if __name__ == "__main__":
    main()
