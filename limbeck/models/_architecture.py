"""What an architecture has to say of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from limbeck.models._config import ModelConfig
from limbeck.models._names import NameTable
from limbeck.nn import Encoder


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The modules of one model."""

    encoder: Encoder
    pooler: nn.Module | None
    head: nn.Module | None


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of models."""

    class_prefix: str
    """What its classes are called: `Bert` in `BertForMaskedLM`."""
    config_type: type[ModelConfig]
    names: NameTable
    build: Callable[[Any, str, bool], Parts]
    """Configuration, name of the kind, whether a pooler is wanted -> the modules."""
    has_token_types: bool
    has_pooler: bool
    finish_initialisation: Callable[[Any, Encoder], None] | None = None
    """What the family does to a new encoder beyond drawing its weights, given the configuration."""

    @property
    def model_type(self) -> str:
        """What `config.json` calls the family."""
        return self.config_type.model_type
