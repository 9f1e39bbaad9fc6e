"""What people run an encoder with on a CPU, each as its own documents advise.

A peer is a function from a model folder, what the model is for, and a number of threads to a
callable of texts. Where a library leaves batching to its user, each batch size is a peer of its
own, and once with texts sorted by length, so that the best setting that anyone finds is there.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from workloads import Text

Run = Callable[[Sequence[Text]], object]
Forward = Callable[[dict[str, Any]], object]
MAX_LENGTH = {"classify": 512, "embed": 512, "answer": 384}
BATCH_SIZES = (1, 8, 32)


def find_peers(folder: Path, use: str, *, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    """Yields each peer's name, and what runs it; one that can't run the model is told."""
    torch.set_num_threads(threads)
    makers = [transformers_pipeline, compiled, onnxruntime_fp32, onnxruntime_int8]
    makers += [openvino_fp32, openvino_int8, ctranslate2_fp32, ctranslate2_int8]
    for make in makers:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield from make(folder, use, threads, work)
        except Exception as error:  # whatever a library raises, the others are compared
            print(f"# left out: {make.__name__} of {folder.name}: {error!r:.300}", flush=True)


def transformers_pipeline(
    folder: Path, use: str, _threads: int, _work: Path
) -> Iterator[tuple[str, Run]]:
    task = {"classify": "text-classification", "answer": "question-answering"}.get(use)
    if use == "answer":  # which transformers 5 has no longer
        model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
        yield from _batched("transformers", folder, use, _torch_forward(model))
        return
    pipe = transformers.pipeline(task or "feature-extraction", model=str(folder), device="cpu")

    def run(texts: Sequence[Text], batch_size: int) -> object:
        return pipe(list(texts), batch_size=batch_size, truncation=True)

    for size in BATCH_SIZES:
        yield f"transformers pipeline, batch {size}", lambda texts, size=size: run(texts, size)
    yield (
        "transformers pipeline, batch 8, sorted",
        lambda texts: run(sorted(texts, key=len), 8),
    )


def compiled(folder: Path, use: str, _threads: int, _work: Path) -> Iterator[tuple[str, Run]]:
    model = _load(folder, use)
    model.forward = torch.compile(model.forward, dynamic=True)
    yield from _batched("transformers, compiled", folder, use, _torch_forward(model))


def onnxruntime_fp32(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    path = _export(folder, use, work)
    yield from _batched("onnxruntime fp32", folder, use, _session(path, threads))


def onnxruntime_int8(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = work / f"{folder.name}-int8.onnx"
    if not small.exists():
        quantize_dynamic(
            _export(folder, use, work),
            small,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": 1},  # else fused operators have no type
        )
    yield from _batched("onnxruntime int8", folder, use, _session(small, threads))


def openvino_fp32(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    import openvino

    model = openvino.Core().read_model(_export(folder, use, work, fused=False))
    yield from _batched("openvino fp32", folder, use, _openvino_forward(model, threads))


def openvino_int8(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    import nncf
    import openvino

    place = work / f"{folder.name}-int8.xml"
    if not place.exists():
        nncf.set_log_level(logging.ERROR)
        model = openvino.Core().read_model(_export(folder, use, work, fused=False))
        encode = _encoder(folder, use)
        texts = ["The film takes its time.", "It works, and it is quick, and nobody minds."] * 16
        rows = [encode([text if use != "answer" else (text, text)]) for text in texts]
        quantised = nncf.quantize(
            model,
            nncf.Dataset(rows, dict),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(rows),
        )
        openvino.save_model(quantised, place, compress_to_fp16=False)
    model = openvino.Core().read_model(place)
    yield from _batched("openvino int8", folder, use, _openvino_forward(model, threads))


def ctranslate2_fp32(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    yield from _ctranslate2(folder, use, threads, work, compute_type="float32")


def ctranslate2_int8(folder: Path, use: str, threads: int, work: Path) -> Iterator[tuple[str, Run]]:
    yield from _ctranslate2(folder, use, threads, work, compute_type="int8")


def _ctranslate2(
    folder: Path, use: str, threads: int, work: Path, *, compute_type: str
) -> Iterator[tuple[str, Run]]:
    """The encoder alone: it has no heads, which would have to be run beside it."""
    import ctranslate2

    place = work / f"{folder.name}-ct2"
    if not place.exists():
        ctranslate2.converters.TransformersConverter(str(folder)).convert(str(place))
    encoder = ctranslate2.Encoder(
        str(place), compute_type=compute_type, intra_threads=threads, inter_threads=1
    )

    def forward(inputs: dict[str, Any]) -> object:
        lengths = inputs["attention_mask"].sum(axis=1)
        rows = [row[:n].tolist() for row, n in zip(inputs["input_ids"], lengths, strict=True)]
        types = inputs.get("token_type_ids")
        given = (
            {}
            if types is None
            else {
                "token_type_ids": [row[:n].tolist() for row, n in zip(types, lengths, strict=True)]
            }
        )
        return np.array(encoder.forward_batch(rows, **given).last_hidden_state)

    name = {"float32": "ctranslate2 fp32", "int8": "ctranslate2 int8"}[compute_type]
    yield from _batched(f"{name} (no head)", folder, use, forward)


def _batched(name: str, folder: Path, use: str, forward: Forward) -> Iterator[tuple[str, Run]]:
    """Yields a run text by text, and one for each size of batches of texts sorted by length.

    Batches in the texts' own order are slower on every workload, as with the pipeline.
    """
    encode = _encoder(folder, use)

    def run(texts: Sequence[Text], size: int) -> object:
        texts = sorted(texts, key=_length)
        return [forward(encode(texts[at : at + size])) for at in range(0, len(texts), size)]

    for size in BATCH_SIZES:
        sorted_ = "" if size == 1 else ", sorted"
        yield f"{name}, batch {size}{sorted_}", lambda texts, size=size: run(texts, size)


def _length(text: Text) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


def _encoder(folder: Path, use: str) -> Callable[[Sequence[Text]], dict[str, Any]]:
    """Returns what makes padded arrays of texts or pairs; windows of long passages are cut."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    has_types = hasattr(transformers.AutoConfig.from_pretrained(folder), "type_vocab_size")

    def encode(texts: Sequence[Text]) -> dict[str, Any]:
        columns = [texts] if isinstance(texts[0], str) else list(zip(*texts, strict=True))
        return dict(
            tokenizer(
                *map(list, columns),
                truncation="only_second" if use == "answer" else True,
                max_length=MAX_LENGTH[use],
                padding=True,
                return_token_type_ids=has_types,
                return_tensors="np",
            )
        )

    return encode


def _load(folder: Path, use: str) -> Any:
    from shapes import HEADS

    return getattr(transformers, HEADS[use]).from_pretrained(folder).eval()


def _torch_forward(model: Any) -> Forward:
    def forward(inputs: dict[str, Any]) -> object:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(values) for name, values in inputs.items()})

    return forward


def _export(folder: Path, use: str, work: Path, *, fused: bool = True) -> Path:
    """Exports by the exporter and the fusions that ONNX Runtime's own documents use."""
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    plain, better = work / f"{folder.name}.onnx", work / f"{folder.name}-fused.onnx"
    if not plain.exists():
        model = _load(folder, use)
        model.set_attn_implementation("eager")
        # One row is shorter than the other: a mask that holds everywhere would be left out.
        rows = ["A text.", "A text of a few more words."]
        given = rows if use != "answer" else [("Who?", row) for row in rows]
        inputs = {n: torch.from_numpy(v) for n, v in _encoder(folder, use)(given).items()}
        torch.onnx.export(
            _Positional(model, tuple(inputs)).eval(),
            tuple(inputs.values()),
            plain,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=["outputs"],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in inputs},
        )
    if not fused:
        return plain
    if not better.exists():
        config = transformers.AutoConfig.from_pretrained(folder)
        optimizer.optimize_model(
            str(plain),
            model_type="bert",
            num_heads=config.num_attention_heads,
            hidden_size=config.hidden_size,
            optimization_options=FusionOptions("bert"),
        ).save_model_to_file(str(better))
    return better


class _Positional(torch.nn.Module):
    """A model whose inputs are given in the order of the tokenizer's, with one output."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        found = self.model(**dict(zip(self.names, values, strict=True)))
        if "start_logits" in found:
            return torch.stack((found.start_logits, found.end_logits), dim=-1)
        return found[0]


def _session(path: Path, threads: int) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]


def _openvino_forward(model: Any, threads: int) -> Forward:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else some processors are given bf16
    }
    compiled_model = openvino.Core().compile_model(model, "CPU", settings)
    return lambda inputs: compiled_model(inputs)[0]
