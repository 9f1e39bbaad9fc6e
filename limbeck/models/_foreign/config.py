"""The configuration of a foreign model: what recipes ask of one, from the library's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from limbeck import checkpoints
from limbeck.errors import CheckpointError, SettingsError
from limbeck.files import read_json
from limbeck.models._config import ModelConfig
from limbeck.models._fields import size
from limbeck.models._foreign.library import (
    find_class_name,
    import_transformers,
    require_plain,
    speaking_for,
)
from limbeck.models._kinds import Kind

_TOKENIZER_CONFIG = "tokenizer_config.json"
_UNLIMITED = 1e9  # the library writes 1e30 where it knows no limit
_SIZES = ("hidden_size", "num_hidden_layers", "vocab_size")


@dataclass(frozen=True, kw_only=True)
class ForeignConfig(ModelConfig):
    """Sizes, labels and the longest input of a model that `transformers` runs."""

    model_type = "transformers"
    reserved_positions = None
    collectable: ClassVar[frozenset[str]] = frozenset({"hidden_states", "attentions"})

    family: str
    """What its `config.json` calls its family."""
    hidden_size: int = size(768)
    num_hidden_layers: int = size(12)
    num_attention_heads: int = size(12)
    intermediate_size: int = size(3072)
    longest: int | None = None
    """Longest input in tokens; None where there is no limit."""
    takes_token_types: bool = True
    """Whether the model tells first and second texts apart by them."""

    @property
    def max_tokens(self) -> int | None:
        """Length of the longest input, in tokens; None where the family sets no limit."""
        return self.longest

    def _find_contradictions(self) -> list[str]:
        return []  # how a foreign family divides its width is its own affair


def read_foreign_config(folder: Path, *, family: str, known: str) -> ForeignConfig:
    """Reads the configuration of a folder whose family Limbeck does not have.

    Args:
        folder: The model folder.
        family: Its `model_type`.
        known: The families that Limbeck has, for messages.

    Raises:
        MissingExtraError: If `transformers` is not installed.
        CheckpointError: If it does not have the family either, or the model is no plain encoder.
    """
    path = folder / checkpoints.CONFIG_NAME
    transformers = import_transformers(
        f"{path} has the model_type '{family}', which is none of Limbeck's own ({known}); as a "
        "teacher it"
    )
    require_plain(folder)
    if family not in transformers.CONFIG_MAPPING:
        raise CheckpointError(
            f"{path} has the model_type '{family}', which neither Limbeck has (accepted: {known}) "
            f"nor transformers {transformers.__version__}"
        )
    with speaking_for(transformers, str(path)):
        theirs = transformers.AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        sizes: dict[str, Any] = {name: getattr(theirs, name, None) for name in _SIZES}
    if theirs.is_encoder_decoder or None in sizes.values():
        raise CheckpointError(
            f"{path} is of a '{family}', which is no plain encoder of text; accepted: families "
            "whose model gives one vector of hidden_size for each token"
        )
    try:
        config = ForeignConfig(
            family=family,
            **sizes,
            # Families without attention, or with other layers than one kind, may have none.
            num_attention_heads=getattr(theirs, "num_attention_heads", None) or 1,
            intermediate_size=getattr(theirs, "intermediate_size", None) or 1,
            pad_token_id=None,
            id2label=theirs.id2label,
        )
    except SettingsError as error:
        raise CheckpointError(f"{path}: {error}") from None
    # Asks the model itself, which is built only where its sizes are within limits.
    return replace(config, **_look_at_model(folder, transformers, theirs))


def name_adapter(config: ModelConfig, kind: Kind) -> tuple[str, str, str] | None:
    """Returns which library runs a model, its version and its class; None for a model of ours."""
    if not isinstance(config, ForeignConfig):
        return None
    transformers = import_transformers(f"a model of type '{config.family}'")
    name = find_class_name(transformers, config.family, kind)
    return "transformers", transformers.__version__, name or config.family


def _look_at_model(folder: Path, transformers: Any, theirs: Any) -> dict[str, Any]:
    """Returns the longest input, and whether there are token types, from the model's own parts."""
    with speaking_for(transformers, str(folder)), torch.device("meta"):
        model = transformers.AutoModel.from_config(
            theirs, trust_remote_code=False, attn_implementation="eager"
        )
    limits = []
    num_positions = getattr(theirs, "max_position_embeddings", None)
    if isinstance(num_positions, int) and num_positions > 0:
        # In families after RoBERTa, rows up to that of padding stand for no token.
        paddings = [table.padding_idx for table in _find_tables(model, "position_embeddings")]
        limits.append(num_positions - max((p + 1 for p in paddings if p is not None), default=0))
    path = folder / _TOKENIZER_CONFIG
    if path.is_file():
        stated = read_json(path, error=CheckpointError).get("model_max_length")
        if isinstance(stated, int | float) and 1 <= stated < _UNLIMITED:
            limits.append(int(stated))
    types = [table.num_embeddings for table in _find_tables(model, "token_type_embeddings")]
    is_named = "token_type_ids" in inspect.signature(model.forward).parameters
    return {
        "longest": min(limits, default=None),
        "takes_token_types": is_named and min(types, default=2) > 1,
    }


def _find_tables(model: nn.Module, name: str) -> Iterator[nn.Embedding]:
    for place, module in model.named_modules():
        if place.endswith(name) and isinstance(module, nn.Embedding):
            yield module
