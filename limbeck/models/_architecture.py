"""What an architecture has to say of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from limbeck.models._config import ModelConfig
from limbeck.models._kinds import COMMON_KINDS, Kind
from limbeck.models._names import NameTable
from limbeck.nn import Encoder


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of models: how its parts are built from a configuration, and what files call them.

    Each `build_...` is given the configuration, those that differ by kind the kind too.
    """

    class_prefix: str
    """What its classes are called: `Bert` in `BertForMaskedLM`."""
    config_type: type[ModelConfig]
    names: NameTable
    kinds: tuple[Kind, ...] = COMMON_KINDS
    """Which kinds of models it has, each with its head in `names`."""
    build_encoder: Callable[[Any], Encoder]
    build_head: Callable[[Any, Kind], nn.Module]
    """Not called for the bare encoder."""
    build_pooler: Callable[[Any, Kind], nn.Module | None] | None = None
    """What makes one vector of a sequence, for the kinds where the family has that."""
    finish_initialisation: Callable[[Any, nn.Module], None] | None = None
    """What the family does to a new encoder, pooler or head beyond drawing its weights, given the
    configuration."""

    @property
    def model_type(self) -> str:
        """What `config.json` calls the family."""
        return self.config_type.model_type

    def class_name(self, kind: Kind) -> str:
        """Returns the name of the family's class of one kind, such as `BertForMaskedLM`."""
        return self.class_prefix + kind.suffix

    @property
    def language_model(self) -> Kind:
        """The kind that scores the vocabulary: masked or causal, whichever the family has."""
        return next(kind for kind in self.kinds if kind.ties_words)

    @property
    def class_names(self) -> list[str]:
        """Names of all its classes, such as `BertModel`, `BertForMaskedLM`."""
        return [self.class_name(kind) for kind in self.kinds]
