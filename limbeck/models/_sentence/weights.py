"""A sentence model's head in its folder: what is read of it, written, and carried to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck import checkpoints
from limbeck.errors import CheckpointError
from limbeck.files import write_json, write_text
from limbeck.models._sentence.config import DenseConfig, SentenceConfig
from limbeck.models._sentence.folder import (
    ENCODER_SETTINGS,
    LIBRARY,
    MODULES_NAME,
    POOLING_FLAGS,
    USAGE_NAME,
    read_modules,
    read_sentence_config,
)
from limbeck.models._sentence.head import SentenceHead
from limbeck.nn.constants import POOLING_MODES
from limbeck.version import __version__


def read_sentence_head(folder: Path, config: SentenceConfig) -> SentenceHead:
    """Reads what stands on the encoder, in float32.

    Args:
        folder: The model folder.
        config: As `read_sentence_config` gave it.

    Raises:
        CheckpointError: If a file is absent, damaged or only a pickle, or its tensors don't fit.
    """
    with torch.device("meta"):
        expected = SentenceHead(config)
    found = _read_layers(folder, expected)
    head = SentenceHead(config)  # only now: widths that no file has may ask for any memory
    for layer, tensors in zip(head.layers, found, strict=True):
        layer.load_state_dict(tensors)
    return head.eval()


def carry_sentence_files(source: Path, target: Path, *, width: int, new_width: int) -> bool:
    """Gives a model what makes vectors of the hidden states of the model that it was made of.

    Where the encoders differ in width, Dense layers stay behind, which fit the one only.

    Args:
        source: Folder of the model that it was made of.
        target: Folder of the new model.
        width: Hidden size of the first.
        new_width: Of the second.

    Returns:
        Whether there was anything: a folder without `modules.json` says nothing.

    Raises:
        CheckpointError: If the source asks for what is not done here, or a file can't be written.
    """
    if not (source / MODULES_NAME).is_file():
        return False
    config = read_sentence_config(source, hidden_size=width)
    head = read_sentence_head(source, config)
    if new_width != width:
        config = config.on_width(new_width)
        head = SentenceHead(config)
    write_sentence_files(target, config, head)
    return True


def write_sentence_files(folder: Path, config: SentenceConfig, head: SentenceHead) -> None:
    """Writes all that is no part of the encoder, under names that every version of the library has.

    Raises:
        CheckpointError: If a file can't be written.
    """
    modules = [("Transformer", "")]
    pooling = "1_Pooling"
    _write(folder / pooling / "config.json", _pooling_values(config))
    modules.append(("Pooling", pooling))
    for number, (layer, module) in enumerate(zip(config.layers, head.layers, strict=True), start=2):
        kind = "Dense" if isinstance(layer, DenseConfig) else "Normalize"
        name = f"{number}_{kind}"
        modules.append((kind, name))
        if isinstance(layer, DenseConfig):
            checkpoints.write_safetensors(
                folder / name / checkpoints.WEIGHTS_NAME, module.state_dict()
            )
            _write(folder / name / "config.json", _dense_values(layer))
        else:  # has nothing to say, but some versions look for its folder
            _write(folder / name / "config.json", {})
    _write(
        folder / ENCODER_SETTINGS[0],
        {"max_seq_length": config.max_seq_length, "do_lower_case": config.do_lower_case},
    )
    _write(folder / USAGE_NAME, _usage_values(config))
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"{LIBRARY}.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    write_text(folder / MODULES_NAME, json.dumps(entries, indent=2) + "\n", error=CheckpointError)


def _read_layers(folder: Path, head: SentenceHead) -> list[dict[str, Tensor]]:
    """Reads the tensors of each layer of a head, of which names and shapes are enough."""
    modules = read_modules(folder)[2:] if len(head.layers) else []
    tensors: list[dict[str, Tensor]] = []
    for module, layer in zip(modules, head.layers, strict=True):
        expected = layer.state_dict()
        found = checkpoints.read_tensors(module.folder) if expected else {}
        _require_fit(module.folder, found, expected)
        tensors.append({name: found[name].to(torch.float32) for name in expected})
    return tensors


def _require_fit(folder: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    path = folder / checkpoints.WEIGHTS_NAME
    if differing := sorted(found.keys() ^ expected.keys()):
        fault = "lacks" if differing[0] in expected else "has in excess"
        raise CheckpointError(
            f"{path} {fault} '{differing[0]}'; accepted: exactly {', '.join(expected)}, as "
            f"{folder / 'config.json'} asks for"
        )
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: '{name}' has shape {tuple(found[name].shape)}, but "
                f"{folder / 'config.json'} asks for {tuple(tensor.shape)}"
            )
        if not found[name].isfinite().all():
            raise CheckpointError(
                f"{path}: numbers that are NaN or infinite in '{name}': the file is damaged"
            )


def _pooling_values(config: SentenceConfig) -> dict[str, Any]:
    modes = config.pooling.modes
    values: dict[str, Any] = {"word_embedding_dimension": config.hidden_size}
    if modes == tuple(mode for mode in POOLING_MODES if mode in modes):
        values |= {flag: mode in modes for flag, mode in POOLING_FLAGS.items()}
    else:  # an order that only newer versions can be told
        values["pooling_mode"] = list(modes)
    return {**values, "include_prompt": config.pooling.include_prompt}


def _dense_values(layer: DenseConfig) -> dict[str, Any]:
    activation = getattr(nn, layer.activation)
    values = {
        "in_features": layer.in_features,
        "out_features": layer.out_features,
        "bias": layer.bias,
        "activation_function": f"{activation.__module__}.{activation.__name__}",
    }
    return values | ({"use_residual": True} if layer.use_residual else {})


def _usage_values(config: SentenceConfig) -> dict[str, Any]:
    values: dict[str, Any] = {
        "__version__": {"limbeck": __version__},
        "default_prompt_name": config.default_prompt_name,
        "model_type": "SentenceTransformer",
        "prompts": dict(config.prompts),
        "similarity_fn_name": config.similarity,
    }
    return values | ({"truncate_dim": config.truncate_dim} if config.truncate_dim else {})


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_json(path, values, error=CheckpointError)
