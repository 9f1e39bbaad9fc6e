"""Architectures, one public module each, and the models users know by name.

An architecture is data and a `build()` over the blocks of `limbeck.nn`: see `bert.py`. The module's
name is the `model_type` of `config.json`, and its `ARCHITECTURE` is all that the rest needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.models._any import AnyModel, find_foreign_family, load_foreign, read_any_config
    from limbeck.models._architecture import Architecture
    from limbeck.models._auto import (
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForMultipleChoice,
        AutoModelForPreTraining,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        find_architecture,
        find_class,
        find_own_kind,
    )
    from limbeck.models._config import ModelConfig
    from limbeck.models._exits.model import EarlyExitModel, add_exits
    from limbeck.models._exits.uncertainty import usual_uncertainty
    from limbeck.models._foreign import ForeignConfig, ForeignModel, name_adapter
    from limbeck.models._kinds import KINDS, Kind, find_kind
    from limbeck.models._layer_shapes import LayerShape
    from limbeck.models._model import Model
    from limbeck.models._sentence.config import (
        DOCUMENT_PROMPTS,
        QUERY_PROMPTS,
        DenseConfig,
        NormalizeConfig,
        PoolingConfig,
        SentenceConfig,
        find_prompt,
    )
    from limbeck.models._sentence.folder import read_sentence_config
    from limbeck.models._sentence.head import SentenceHead
    from limbeck.models._sentence.model import SentenceModel
    from limbeck.models._sentence.weights import carry_sentence_files, read_sentence_head
    from limbeck.models._vectors import VectorConfig
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "_any": ["AnyModel", "find_foreign_family", "load_foreign", "read_any_config"],
            "_architecture": ["Architecture"],
            "_auto": [
                "AutoConfig",
                "AutoModel",
                "AutoModelForCausalLM",
                "AutoModelForMaskedLM",
                "AutoModelForMultipleChoice",
                "AutoModelForPreTraining",
                "AutoModelForQuestionAnswering",
                "AutoModelForSequenceClassification",
                "AutoModelForTokenClassification",
                "find_architecture",
                "find_class",
                "find_own_kind",
            ],
            "_config": ["ModelConfig"],
            "_exits.model": ["EarlyExitModel", "add_exits"],
            "_exits.uncertainty": ["usual_uncertainty"],
            "_foreign": ["ForeignConfig", "ForeignModel", "name_adapter"],
            "_kinds": ["KINDS", "Kind", "find_kind"],
            "_layer_shapes": ["LayerShape"],
            "_model": ["Model"],
            "_sentence.config": [
                "DOCUMENT_PROMPTS",
                "QUERY_PROMPTS",
                "DenseConfig",
                "NormalizeConfig",
                "PoolingConfig",
                "SentenceConfig",
                "find_prompt",
            ],
            "_sentence.folder": ["read_sentence_config"],
            "_sentence.head": ["SentenceHead"],
            "_sentence.model": ["SentenceModel"],
            "_sentence.weights": ["carry_sentence_files", "read_sentence_head"],
            "_vectors": ["VectorConfig"],
        },
    )

__all__ = [
    "DOCUMENT_PROMPTS",
    "KINDS",
    "QUERY_PROMPTS",
    "AnyModel",
    "Architecture",
    "AutoConfig",
    "AutoModel",
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForPreTraining",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "DenseConfig",
    "EarlyExitModel",
    "ForeignConfig",
    "ForeignModel",
    "Kind",
    "LayerShape",
    "Model",
    "ModelConfig",
    "NormalizeConfig",
    "PoolingConfig",
    "SentenceConfig",
    "SentenceHead",
    "SentenceModel",
    "VectorConfig",
    "add_exits",
    "carry_sentence_files",
    "find_architecture",
    "find_class",
    "find_foreign_family",
    "find_kind",
    "find_own_kind",
    "find_prompt",
    "load_foreign",
    "name_adapter",
    "read_any_config",
    "read_sentence_config",
    "read_sentence_head",
    "usual_uncertainty",
]
