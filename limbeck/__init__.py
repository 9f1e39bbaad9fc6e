"""Distil BERT and its relatives into small, fast text encoders, with the proof beside them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from limbeck.version import __version__

if TYPE_CHECKING:
    from limbeck.errors import (
        CheckpointError,
        ContractError,
        DataError,
        ExportError,
        LimbeckError,
        MissingExtraError,
        MissingHeadError,
        SettingsError,
        TrainingError,
    )
    from limbeck.inference import pipeline
    from limbeck.models._auto import (
        AutoConfig,
        AutoModel,
        AutoModelForMaskedLM,
        AutoModelForMultipleChoice,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )
    from limbeck.models.bert import (
        BertConfig,
        BertForMaskedLM,
        BertForMultipleChoice,
        BertForQuestionAnswering,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertModel,
    )
    from limbeck.models.distilbert import (
        DistilBertConfig,
        DistilBertForMaskedLM,
        DistilBertForMultipleChoice,
        DistilBertForQuestionAnswering,
        DistilBertForSequenceClassification,
        DistilBertForTokenClassification,
        DistilBertModel,
    )
    from limbeck.tokenizers import AutoTokenizer, Tokenizer

__all__ = [
    "AutoConfig",
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoTokenizer",
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "CheckpointError",
    "ContractError",
    "DataError",
    "DistilBertConfig",
    "DistilBertForMaskedLM",
    "DistilBertForMultipleChoice",
    "DistilBertForQuestionAnswering",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertModel",
    "ExportError",
    "LimbeckError",
    "MissingExtraError",
    "MissingHeadError",
    "SettingsError",
    "Tokenizer",
    "TrainingError",
    "__version__",
    "pipeline",
]

_ROOMS = {"AutoTokenizer": "tokenizers", "Tokenizer": "tokenizers", "pipeline": "inference"}


def _find_room(name: str) -> str:
    """Returns the module that defines a public name."""
    if name in _ROOMS:
        return _ROOMS[name]
    if name.endswith("Error"):
        return "errors"
    for prefix, module in (
        ("Auto", "_auto"),
        ("DistilBert", "distilbert"),
        ("Bert", "bert"),
    ):
        if name.startswith(prefix):
            return f"models.{module}"
    raise AttributeError(name)


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use, so that `import limbeck` itself is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'limbeck' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"limbeck.{_find_room(name)}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
