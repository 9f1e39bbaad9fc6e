"""A sentence model's files beside the encoder's, as sentence-transformers lays them out.

No code is ever taken from such a folder: `modules.json` names classes, of which four are known
here by their names, and all others are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from limbeck import checkpoints
from limbeck.errors import CheckpointError, SettingsError, did_you_mean, shorten
from limbeck.files import parse_json, read_json, read_text, write_json, write_text
from limbeck.models._sentence.config import (
    DENSE_ACTIVATIONS,
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
)
from limbeck.models._sentence.head import SentenceHead
from limbeck.nn import POOLING_MODES, PoolingMode
from limbeck.version import __version__

MODULES_NAME: Final = "modules.json"
_CONFIG_NAME: Final = "config_sentence_transformers.json"
_LIBRARY: Final = "sentence_transformers"
_KNOWN: Final = ("Transformer", "Pooling", "Dense", "Normalize")
# As sentence-transformers names them: any other is neither fetched from the Hub nor copied or
# counted as a part of the model, and one with a path in it could lead anywhere on this machine.
_FOLDER_NAME: Final = re.compile(r"[0-9]+_[A-Za-z0-9_-]+")
# The encoder's settings, under the names that versions before 1.0 gave them too.
_ENCODER_SETTINGS: Final = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
)
_FLAG: Final = "pooling_mode_"
# The modes as versions before 5.4 name them, and all read them.
_FLAGS: Final[dict[str, PoolingMode]] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_VECTOR: Final = "sentence_embedding"
"""What the library calls the text's vector; layers on anything else, such as tokens, are others."""


@dataclass(frozen=True)
class _Module:
    """An entry of `modules.json`."""

    kind: str
    folder: Path


def read_sentence_config(folder: Path, *, hidden_size: int) -> SentenceConfig:
    """Reads how a model folder makes a vector of a text.

    A folder without `modules.json` is read as sentence-transformers reads it: the mean.

    Args:
        folder: The model folder.
        hidden_size: Width of its encoder.

    Raises:
        CheckpointError: If a file is damaged, or asks for what is not done here; the message names
            file and value.
    """
    if not (folder / MODULES_NAME).is_file():
        return _read_bare(folder, hidden_size=hidden_size)
    modules = _read_modules(folder)
    pooling = _read_pooling(modules[1].folder, hidden_size=hidden_size)
    encoder = _read_first(folder, _ENCODER_SETTINGS)
    task = encoder.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise CheckpointError(
            f"{folder / _ENCODER_SETTINGS[0]}: transformer_task is {shorten(task)}; accepted: "
            "feature-extraction"
        )
    usage = _read_first(folder, (_CONFIG_NAME,))
    model_type = usage.get("model_type", "SentenceTransformer")
    if model_type != "SentenceTransformer":
        raise CheckpointError(
            f"{folder / _CONFIG_NAME}: the model is a {shorten(model_type, quoted=False)}; "
            "accepted: SentenceTransformer, which gives one vector a text"
        )
    layers = tuple(_read_layer(module) for module in modules[2:])
    try:
        return SentenceConfig(
            hidden_size=hidden_size,
            pooling=pooling,
            layers=layers,
            truncate_dim=usage.get("truncate_dim"),
            max_seq_length=encoder.get("max_seq_length"),
            do_lower_case=encoder.get("do_lower_case") is True,
            prompts=_read_prompts(usage.get("prompts"), folder / _CONFIG_NAME),
            default_prompt_name=usage.get("default_prompt_name"),
            similarity=usage.get("similarity_fn_name") or "cosine",
        )
    except SettingsError as error:
        raise CheckpointError(f"{folder}, a model of sentence-transformers: {error}") from None


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


def _read_layers(folder: Path, head: SentenceHead) -> list[dict[str, Tensor]]:
    """Reads the tensors of each layer of a head, of which names and shapes are enough."""
    modules = _read_modules(folder)[2:] if len(head.layers) else []
    tensors: list[dict[str, Tensor]] = []
    for module, layer in zip(modules, head.layers, strict=True):
        expected = layer.state_dict()
        found = checkpoints.read_tensors(module.folder) if expected else {}
        _require_fit(module.folder, found, expected)
        tensors.append({name: found[name].to(torch.float32) for name in expected})
    return tensors


def write_sentence_files(folder: Path, config: SentenceConfig, head: SentenceHead) -> None:
    """Writes all that is no part of the encoder, under names that every version of the library has.

    Raises:
        CheckpointError: If a file can't be written.
    """
    modules = [("Transformer", "")]
    pooling = f"1_{_KNOWN[1]}"
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
        folder / _ENCODER_SETTINGS[0],
        {"max_seq_length": config.max_seq_length, "do_lower_case": config.do_lower_case},
    )
    _write(folder / _CONFIG_NAME, _usage_values(config))
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"{_LIBRARY}.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    write_text(folder / MODULES_NAME, json.dumps(entries, indent=2) + "\n", error=CheckpointError)


def _read_bare(folder: Path, *, hidden_size: int) -> SentenceConfig:
    pooling = folder / "1_Pooling" / "config.json"
    if pooling.is_file():
        raise CheckpointError(
            f"{folder} has {pooling.relative_to(folder)}, but no {MODULES_NAME} that names it, so "
            "that sentence-transformers would pass it over and take the mean: copy "
            f"{MODULES_NAME} from where the model came, or remove {pooling.parent}"
        )
    named = checkpoints.read_config(folder).get("architectures") or [""]
    is_causal = str(named[0]).endswith("ForCausalLM")  # whose last token alone has seen all others
    return SentenceConfig(
        hidden_size=hidden_size,
        pooling=PoolingConfig(modes=("lasttoken" if is_causal else "mean",)),
    )


def _read_modules(folder: Path) -> list[_Module]:
    """Reads `modules.json`: the encoder in the folder itself, a pooling, then layers.

    Raises:
        CheckpointError: If it is damaged, or names what is not done here.
    """
    path = folder / MODULES_NAME
    try:
        entries = parse_json(read_text(path, error=CheckpointError))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CheckpointError(f"{path} holds {shorten(entries)}; accepted: a list of objects")
    modules = [_read_module(folder, place, entry) for place, entry in enumerate(entries)]
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or {*kinds[2:]} & {"Transformer", "Pooling"}:
        raise CheckpointError(
            f"{path} has the modules {', '.join(kinds) or 'none'}; accepted: Transformer, Pooling, "
            "then any number of Dense and Normalize"
        )
    return modules


def _read_module(folder: Path, place: int, entry: Mapping[str, Any]) -> _Module:
    path, given = f"{folder / MODULES_NAME}: module {place}", entry.get("type")
    library, _, kind = str(given).rpartition(".")
    if library.partition(".")[0] != _LIBRARY or kind not in _KNOWN:
        raise CheckpointError(
            f"{path} is {shorten(given)}; accepted: {', '.join(_KNOWN)} of {_LIBRARY} (code that a "
            f"folder names is never run).{did_you_mean(kind, _KNOWN)}"
        )
    name = entry.get("path")
    if kind == "Transformer":
        if name != "":
            raise CheckpointError(
                f"{path}, the encoder, stands in {shorten(name)}; accepted: '', the folder itself. "
                "Move its files there"
            )
        return _Module(kind, folder)
    if not isinstance(name, str) or not _FOLDER_NAME.fullmatch(name):
        raise CheckpointError(
            f"{path} ({kind}) stands in {shorten(name)}; accepted: a folder in the model's "
            f"that has a number and a name, such as '{place}_{kind}'"
        )
    return _Module(kind, folder / name)


def _read_pooling(folder: Path, *, hidden_size: int) -> PoolingConfig:
    path = folder / "config.json"
    values = read_json(path, error=CheckpointError)
    flags = {name: value for name, value in values.items() if name.startswith(_FLAG)}
    flagged = tuple(mode for name, mode in _FLAGS.items() if flags.get(name) is True)
    unknown = [name for name, value in flags.items() if name not in _FLAGS and value]
    named = values.get("pooling_mode")
    modes = tuple(named) if isinstance(named, list) else (named,)
    if named is None:
        modes = flagged if flags or unknown else ("mean",)
    elif flagged and set(flagged) != set(map(str, modes)):
        raise CheckpointError(
            f"{path} contradicts itself: pooling_mode is {shorten(named)}, but "
            f"{', '.join(name for name in flags if flags[name] is True)} is true"
        )
    if unknown:
        raise CheckpointError(
            f"{path}: {unknown[0]} is not done here; accepted: {', '.join(_FLAGS)}."
            + did_you_mean(unknown[0], _FLAGS)
        )
    width = values.get("embedding_dimension", values.get("word_embedding_dimension", hidden_size))
    if width != hidden_size:
        raise CheckpointError(
            f"{path} pools hidden states of {shorten(width)} numbers, but the encoder's have "
            f"{hidden_size} (hidden_size in its config.json): one of them is another model's"
        )
    try:
        return PoolingConfig(modes=modes, include_prompt=values.get("include_prompt") is not False)
    except SettingsError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _read_layer(module: _Module) -> DenseConfig | NormalizeConfig:
    path = module.folder / "config.json"
    if module.kind == "Normalize":
        if path.is_file():  # older versions write none
            _require_vector(path, read_json(path, error=CheckpointError))
        return NormalizeConfig()
    values = read_json(path, error=CheckpointError)
    _require_vector(path, values)
    given = values.get("activation_function", "torch.nn.modules.activation.Tanh")
    place, _, activation = str(given).rpartition(".")
    if not f"{place}.".startswith("torch.nn.") or activation not in DENSE_ACTIVATIONS:
        raise CheckpointError(
            f"{path}: activation_function is {shorten(given)}; accepted, of torch.nn: "
            f"{', '.join(DENSE_ACTIVATIONS)}.{did_you_mean(activation, DENSE_ACTIVATIONS)}"
        )
    try:
        return DenseConfig(
            in_features=values.get("in_features"),  # type: ignore[arg-type]  # looked at there
            out_features=values.get("out_features"),  # type: ignore[arg-type]
            bias=values.get("bias") is not False,
            activation=activation,
            use_residual=values.get("use_residual") is True,
        )
    except SettingsError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _require_vector(path: Path, values: Mapping[str, Any]) -> None:
    for name in ("module_input_name", "module_output_name"):
        if (values.get(name) or _VECTOR) != _VECTOR:
            raise CheckpointError(
                f"{path}: {name} is {shorten(values[name])}; accepted: {_VECTOR}, the text's vector"
            )


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


def _read_first(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Reads the first of some files that is there; without any there is nothing to say."""
    for name in names:
        if (folder / name).is_file():
            return read_json(folder / name, error=CheckpointError)
    return {}


def _read_prompts(values: object, path: Path) -> dict[str, str]:
    prompts = {} if values is None else values
    if not isinstance(prompts, dict) or not all(
        text is None or isinstance(text, str) for text in prompts.values()
    ):
        raise CheckpointError(f"{path}: prompts are {shorten(values)}; accepted: names and texts")
    return {name: text or "" for name, text in prompts.items()}


def _pooling_values(config: SentenceConfig) -> dict[str, Any]:
    modes = config.pooling.modes
    values: dict[str, Any] = {"word_embedding_dimension": config.hidden_size}
    if modes == tuple(mode for mode in POOLING_MODES if mode in modes):
        values |= {flag: mode in modes for flag, mode in _FLAGS.items()}
    else:  # an order that only newer versions can be told
        values["pooling_mode"] = list(modes)
    return {**values, "include_prompt": config.pooling.include_prompt}


def _dense_values(layer: DenseConfig) -> dict[str, Any]:
    activation = DENSE_ACTIVATIONS[layer.activation]
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
