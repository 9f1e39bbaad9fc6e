"""What the tests of exports share: a tiny model of each family and kind, and who runs an export."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from limbeck.checkpoints.exported import ExportInfo
from limbeck.export import Graph, Target, find_role, list_modules
from limbeck.inference import load_engine
from limbeck.inference.engines.openvino import share_core
from limbeck.models import Kind, SentenceConfig, SentenceModel, find_architecture, find_class
from limbeck.models._kinds import ENCODER
from limbeck.models._sentence.config import NormalizeConfig, PoolingConfig
from limbeck.tokenizers import train_wordpiece

MAX_TOKENS = 64
SHAPES = ((1, 5), (3, 16), (2, MAX_TOKENS))
"""Rows and tokens; none of them is what an export is traced with."""
TEXTS = ["a gorgeous, witty, seductive movie", "bad", "It is NOT good; it is far too long.", "good"]

Arrays = dict[str, np.ndarray]
Run = Callable[[Mapping[str, np.ndarray]], Arrays]


@cache
def make_tokenizer():
    return train_wordpiece(TEXTS, vocab_size=120, min_frequency=1)


@cache
def make_graph(family: str, kind: Kind, *, is_sentence: bool = False, **changes: Any) -> Graph:
    """A model with weights drawn wide, so that what is lost on the way shows in its outputs."""
    torch.manual_seed(1)
    config_type = find_architecture(family).config_type
    own = config_type.tiny_values
    config = config_type().replace(
        **{
            "vocab_size": make_tokenizer().vocab_size,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": MAX_TOKENS + (config_type().reserved_positions or 0),
            "initializer_range": 0.3,
            **own,
            "pad_token_id": make_tokenizer().pad_token_id,
            "num_labels": 2 if kind.name == "question_answering" else 3,
            **changes,
        }
    )
    model = find_class(family, kind)(config)
    if not is_sentence:
        return Graph(model)
    pooling = PoolingConfig(modes=("mean", "cls"))
    sentences = SentenceConfig(
        hidden_size=config.hidden_size, pooling=pooling, layers=(NormalizeConfig(),)
    )
    return Graph(SentenceModel(model, sentences))


def make_sentence_graph() -> Graph:
    return make_graph("bert", ENCODER, is_sentence=True)


def round_both(graph: Graph, target: Target) -> Graph:
    """A model that torch computes as runtimes do which round each vector of inputs by itself.

    Weights are as the target narrows them, and inputs of products have 256 values from the least
    to the most of a vector.
    """
    narrowed = copy.deepcopy(graph)

    def narrow_inputs(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        lowest = args[0].amin(dim=-1, keepdim=True).clamp(max=0)
        highest = args[0].amax(dim=-1, keepdim=True).clamp(min=0)
        scale = ((highest - lowest) / 255).clamp(min=torch.finfo(torch.float32).tiny)
        return ((args[0] / scale).round() * scale,)

    for module in list_modules(narrowed).values():
        with torch.no_grad():
            module.weight.copy_(target.narrow(module.weight, role=find_role(narrowed, module)))
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(narrow_inputs)
    return narrowed


def write_source(graph: Graph, folder: Path) -> Path:
    """Writes the model folder that a graph would have been read from."""
    graph.model.save_pretrained(folder)
    tokenizer = make_tokenizer()
    if not graph.config.takes_token_types:
        tokenizer = tokenizer.without_token_types()
    tokenizer.save_pretrained(folder)
    return folder


def calibration_of(graph: Graph) -> list[dict[str, torch.Tensor]]:
    """Batches of random tokens, which is all that a random model knows."""
    shapes = ((4, 8), (4, 24), (4, MAX_TOKENS))
    rows = (graph.example(rows=rows, tokens=tokens) for rows, tokens in shapes)
    return [dict(zip(graph.input_names, inputs, strict=True)) for inputs in rows]


def examples_of(graph: Graph) -> Iterator[tuple[Arrays, Arrays]]:
    """Inputs of several shapes, and what torch makes of them."""
    for rows, tokens in SHAPES:
        inputs = graph.example(rows=rows, tokens=tokens)
        with torch.no_grad():
            outputs = graph(*inputs)
        yield (
            {n: t.numpy() for n, t in zip(graph.input_names, inputs, strict=True)},
            {n: t.numpy() for n, t in zip(graph.output_names, outputs, strict=True)},
        )


def relative_difference(graph: Graph, run: Run) -> float:
    """The largest difference from torch's outputs, over the standard deviation of all of those."""
    given: dict[str, list[Any]] = {name: [] for name in graph.output_names}
    expected: dict[str, list[Any]] = {name: [] for name in graph.output_names}
    for inputs, outputs in examples_of(graph):
        found = run(inputs)
        for name, array in outputs.items():
            if name in found:  # an engine may keep hidden states to itself where it gives vectors
                assert found[name].shape == array.shape, name
                given[name].append(found[name].ravel())
                expected[name].append(array.ravel())
    compared = [name for name in given if given[name]]
    assert graph.output_names[-1] in compared
    return max(
        float(np.abs(np.concatenate(given[n]) - np.concatenate(expected[n])).max())
        / float(np.concatenate(expected[n]).std())
        for n in compared
    )


def run_onnx(folder: Path, info: ExportInfo) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / next(iter(info.files)), options)
    names = list(info.outputs)
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_engine(folder: Path, info: ExportInfo) -> Run:
    return load_engine(info.engine, folder, vectors="sentence_embedding" in info.outputs).run


def run_openvino(folder: Path, info: ExportInfo) -> Run:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    network = share_core().compile_model(folder / next(iter(info.files)), "CPU", settings)
    return lambda inputs: {name: network(dict(inputs))[name] for name in info.outputs}


def run_torch_export(folder: Path, info: ExportInfo) -> Run:
    module = torch.export.load(folder / next(iter(info.files))).module()

    def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
        with torch.no_grad():
            outputs = module(**{n: torch.from_numpy(a) for n, a in inputs.items()})
        return {n: t.numpy() for n, t in zip(info.outputs, outputs, strict=True)}

    return run


RUNTIMES: dict[str, Callable[[Path, ExportInfo], Run]] = {
    "onnxruntime": run_onnx,
    "litert": run_engine,
    "executorch": run_engine,
    "openvino": run_openvino,
    "torch": run_engine,
    "torch_export": run_torch_export,
}
"""What runs a target without Limbeck, by the target's engine or, where it has none, by the target:
for those that no engine of ours runs."""
