"""What a sentence model's folder says beside the encoder's, as sentence-transformers lays it out.

No code is ever taken from such a folder: `modules.json` names classes, of which four are known
here by their names, and all others are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from limbeck import checkpoints
from limbeck.errors import CheckpointError, SettingsError, did_you_mean, shorten, with_article
from limbeck.files import parse_json, read_json, read_text
from limbeck.models._sentence.config import (
    DENSE_ACTIVATIONS,
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
)
from limbeck.nn.constants import PoolingMode

MODULES_NAME: Final = "modules.json"
USAGE_NAME: Final = "config_sentence_transformers.json"
LIBRARY: Final = "sentence_transformers"
_KNOWN: Final = ("Transformer", "Pooling", "Dense", "Normalize")
# As sentence-transformers names them: any other is neither fetched from the Hub nor copied or
# counted as a part of the model, and one with a path in it could lead anywhere on this machine.
_FOLDER_NAME: Final = re.compile(r"[0-9]+_[A-Za-z0-9_-]+")
# The encoder's settings, under the names that versions before 1.0 gave them too.
ENCODER_SETTINGS: Final = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
)
_FLAG: Final = "pooling_mode_"
# The modes as versions before 5.4 name them, and all read them.
POOLING_FLAGS: Final[dict[str, PoolingMode]] = {
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
    modules = read_modules(folder)
    pooling = _read_pooling(modules[1].folder, hidden_size=hidden_size)
    encoder = _read_first(folder, ENCODER_SETTINGS)
    task = encoder.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise CheckpointError(
            f"{folder / ENCODER_SETTINGS[0]}: transformer_task is {shorten(task)}; accepted: "
            "feature-extraction"
        )
    usage = _read_first(folder, (USAGE_NAME,))
    model_type = usage.get("model_type", "SentenceTransformer")
    if model_type != "SentenceTransformer":
        raise CheckpointError(
            f"{folder / USAGE_NAME}: the model is "
            f"{with_article(shorten(model_type, quoted=False))}; accepted: SentenceTransformer, "
            "which gives one vector a text"
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
            prompts=_read_prompts(usage.get("prompts"), folder / USAGE_NAME),
            default_prompt_name=usage.get("default_prompt_name"),
            similarity=usage.get("similarity_fn_name") or "cosine",
        )
    except SettingsError as error:
        raise CheckpointError(f"{folder}, a model of sentence-transformers: {error}") from None


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


def read_modules(folder: Path) -> list[_Module]:
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
    if library.partition(".")[0] != LIBRARY or kind not in _KNOWN:
        raise CheckpointError(
            f"{path} is {shorten(given)}; accepted: {', '.join(_KNOWN)} of {LIBRARY} (code that a "
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
    flagged = tuple(mode for name, mode in POOLING_FLAGS.items() if flags.get(name) is True)
    unknown = [name for name, value in flags.items() if name not in POOLING_FLAGS and value]
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
            f"{path}: {unknown[0]} is not done here; accepted: {', '.join(POOLING_FLAGS)}."
            + did_you_mean(unknown[0], POOLING_FLAGS)
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
