"""Architectures, one public module each, and the models users know by name.

An architecture is data and a `build()` over the blocks of `limbeck.nn`: see `bert.py`. The module's
name is the `model_type` of `config.json`, and its `ARCHITECTURE` is all that the rest needs.
"""

from limbeck.models._architecture import Architecture
from limbeck.models._auto import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    find_architecture,
    find_class,
)
from limbeck.models._config import ModelConfig
from limbeck.models._kinds import KINDS, Kind, find_kind
from limbeck.models._model import Model

__all__ = [
    "KINDS",
    "Architecture",
    "AutoConfig",
    "AutoModel",
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "Kind",
    "Model",
    "ModelConfig",
    "find_architecture",
    "find_class",
    "find_kind",
]
